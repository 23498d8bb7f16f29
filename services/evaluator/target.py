"""What is to be evaluated: a hub id, a model's directory, a checkpoint, or a run."""

from dataclasses import dataclass
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.record.checkpoint import MODEL, newest_intact
from openrs_core.record.directory import CHECKPOINTS, RECIPE

CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Target:
    """A model, and where it came from."""

    path: str
    """As `model.path` of a recipe has it."""
    name: str
    """What the results call it."""
    recipe: Path | None = None
    """The resolved recipe of the run that made it."""


def target(model: str, runs: Path) -> Target:
    """What the command line means: of a run, its newest checkpoint.

    Raises:
        RunError: the directory is none of a model, and holds none.
    """
    found = next((path for path in (Path(model).expanduser(), runs / model) if path.is_dir()), None)
    if model == "toy" or found is None:
        return Target(model, model)  # a hub id; model_directory says when it is none
    if (found / CONFIG).exists():
        inside = found.name == MODEL and found.resolve().parent.parent.name == CHECKPOINTS
        return _of_checkpoint(found.resolve().parent) if inside else Target(str(found), found.name)
    if (found / MODEL / CONFIG).exists():
        return _of_checkpoint(found.resolve())
    if newest := newest_intact(found / CHECKPOINTS):
        return _of_checkpoint(newest.resolve())
    raise RunError(
        f"MODEL {model}: {found} holds no model: no {CONFIG}, no checkpoint; give a hub id, a "
        "model's directory, a checkpoint or a run"
    )


def _of_checkpoint(checkpoint: Path) -> Target:
    """A checkpoint in its run's directory, or one that was carried away."""
    run = checkpoint.parent.parent
    recipe = run / RECIPE
    name = f"{run.name}@{checkpoint.name}" if recipe.exists() else checkpoint.name
    return Target(str(checkpoint / MODEL), name, recipe if recipe.exists() else None)
