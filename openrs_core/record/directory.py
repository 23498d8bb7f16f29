"""A run's directory: the recipe it was begun with, and files that are there whole or not at all."""

import json
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe.file import differences
from openrs_core.recipe.ring import RingRecipe


def keep_recipe(directory: Path, recipe: RingRecipe) -> None:
    """Keep the resolved recipe as `recipe.json` in the run's directory, or compare with it.

    Raises:
        RunError: the directory was begun with another recipe; the message names what differs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / "recipe.json"
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
