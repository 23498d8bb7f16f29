"""A run's directory: the names in it, its recipe, and files that are there whole or not at all.

recipe.json     the resolved recipe
metrics.jsonl   what happened, a line each (see `lines`)
samples.jsonl   one completion per step, to read
summary.json    the last line of the run; the run is finished when it is there
checkpoints/    see `checkpoint`
logs/, redis/, targets.json     of `openrs up`
"""

import json
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe.file import differences
from openrs_core.recipe.ring import RingRecipe

RECIPE, METRICS, SAMPLES = "recipe.json", "metrics.jsonl", "samples.jsonl"
SUMMARY, CHECKPOINTS = "summary.json", "checkpoints"


def keep_recipe(directory: Path, recipe: RingRecipe) -> None:
    """Keep the resolved recipe as `recipe.json` in the run's directory, or compare with it.

    Raises:
        RunError: the directory was begun with another recipe; the message names what differs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / RECIPE
    if not kept.exists():
        write_whole(kept, json.dumps(recipe.resolved(), indent=2) + "\n")
    found = differences(recipe.resolved(), json.loads(kept.read_text()))
    if found:
        raise RunError(
            f"run directory {directory} was begun with another recipe: {'; '.join(found)}. "
            "Use the run's recipe, or choose another --run"
        )


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all, also when the process is killed."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
