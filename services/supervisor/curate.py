"""`openrs curate`: a data set made with a ring of processes on this machine, or with none."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from openrs_core import log
from openrs_core.errors import RunError
from openrs_core.recipe.curate import CurateRecipe
from openrs_core.recipe.file import load_as
from services.curator.candidates import refuse_unusable
from services.curator.dataset import DATASET
from services.curator.funnel import Stage
from services.curator.main import curate_texts
from services.curator.text_stages import read_benchmarks
from services.model.directory import model_directory
from services.model.size import longest_context
from services.supervisor.progress import ProgressView
from services.supervisor.ring import EXIT_STOPPED, Client, Plan, run, run_directory


def main(recipe_path: Path, overrides: Sequence[str], plan: Plan) -> int:
    """Make a recipe's data set; returns the exit code."""
    recipe = load_as(CurateRecipe, recipe_path, overrides)
    _refuse_missing()
    plan = replace(plan, run=plan.run or recipe.name)  # a recipe may name another's data set
    directory = run_directory(recipe, plan, DATASET)
    begun = time.monotonic()
    if recipe.curate.asks_model:
        refuse_too_long(recipe)
        refuse_unusable(recipe)
        read_benchmarks(recipe)
        client = Client(role="curator", result=DATASET, view=ProgressView)
        code = run(recipe, directory, plan, recipe_path.parent, client)
    else:
        code = _by_text(recipe, directory)
    if code == 0:
        _finish(directory, time.monotonic() - begun)
    elif code == EXIT_STOPPED:
        sys.stderr.write(
            f"stopped; `openrs curate RECIPE --run {directory.name} --resume` goes on from here\n"
        )
    return code


def refuse_too_long(recipe: CurateRecipe) -> None:
    """Raise RunError where prompt and completion may be longer than the model was made for."""
    most = longest_context(model_directory(recipe))
    if recipe.longest_sequence > most:
        raise RunError(
            f"sampler.max_tokens is {recipe.sampler.max_tokens} and data.max_prompt_tokens "
            f"{recipe.data.max_prompt_tokens}: together more than the {most} tokens that "
            f"{recipe.model.path} was made for; lower one of them"
        )


def _by_text(recipe: CurateRecipe, directory: Path) -> int:
    """Nothing is asked of a model: no ring is started."""
    log.configure("curator", "plain")
    curate_texts(recipe, directory, _say)
    return 0


def _say(stage: Stage) -> None:
    sys.stderr.write(f"{stage.name}: {stage.kept:,} of {stage.before:,}\n")


def _refuse_missing() -> None:
    """Raise RunError where a library is missing that the end needs: hours come before it."""
    for library in ("pyarrow", "matplotlib"):
        if find_spec(library) is None:
            raise RunError(f"openrs curate needs {library}: pip install 'openrs[learner,eval]'")


def _finish(directory: Path, seconds: float) -> None:
    """The last line: what was made, as JSON."""
    made = directory / DATASET
    lines = (made / "problems.jsonl").read_text(encoding="utf-8").count("\n")
    told = {"dataset": str(made), "problems": lines, "wall_seconds": round(seconds, 1)}
    sys.stderr.write(f"data set: {made}\n")
    sys.stdout.write(json.dumps(told) + "\n")
