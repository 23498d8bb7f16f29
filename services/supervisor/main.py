"""`openrs up`: trains, with a ring of processes on this machine."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from openrs_core.recipe.file import load
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.directory import SUMMARY, write_whole
from services.supervisor.ring import EXIT_STOPPED, Client, Plan, run, run_directory
from services.supervisor.view import View


def main(recipe_path: Path, overrides: Sequence[str], plan: Plan) -> int:
    """Run a recipe to its end; returns the exit code."""
    begun = time.monotonic()
    recipe = load(recipe_path, overrides)
    directory = run_directory(recipe, plan, SUMMARY)
    code = train(recipe, directory, plan, recipe_path.parent)
    if code == 0:
        _finish(directory, time.monotonic() - begun)
    elif code == EXIT_STOPPED:
        sys.stderr.write(
            f"stopped; `openrs up RECIPE --run {directory.name} --resume` goes on from here\n"
        )
    return code


def train(recipe: TrainingRecipe, directory: Path, plan: Plan, rewards: Path) -> int:
    """The ring with a learner; returns the exit code.

    `rewards`: where modules with rewards of the user's own are looked for.
    """
    rules = recipe.learner

    def view(name: str, of: Path, begun: float) -> View:
        return View(name, rules.steps, rules.max_staleness, of, begun)

    client = Client(role="learner", result=SUMMARY, view=view)
    return run(recipe, directory, plan, rewards, client)


def _finish(directory: Path, wall_seconds: float) -> None:
    """The last line: the run in JSON, with the wall time of everything."""
    path = directory / SUMMARY
    summary = {**json.loads(path.read_text()), "wall_seconds": round(wall_seconds, 1)}
    line = json.dumps(summary)
    write_whole(path, line + "\n")
    sys.stderr.write(f"run directory: {directory}\n")
    sys.stdout.write(line + "\n")
