"""Where an exported model comes from: a checkpoint, and the run that it is of."""

import json
from dataclasses import dataclass
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe.file import load
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record import inventory
from openrs_core.record.checkpoint import BEST, EVALUATION, MODEL, STATE, newest_intact
from openrs_core.record.directory import CHECKPOINTS, RECIPE
from openrs_core.record.reader import RecordReader, read_record


@dataclass(frozen=True, slots=True)
class Origin:
    """A checkpoint that is as it was written, and what is known of its making."""

    checkpoint: Path
    version: int | None
    """Optimizer steps behind it; None where nothing says so."""
    recipe: TrainingRecipe | None
    """None where the checkpoint lies in no run's directory."""
    record: RecordReader
    """Empty where it lies in none."""

    @property
    def model(self) -> Path:
        """The plain Hugging Face directory in it."""
        return self.checkpoint / MODEL


def find(source: Path, *, best: bool) -> Origin:
    """The checkpoint at `source`, or of the run there: its newest intact one, or its best.

    Raises:
        RunError: there is none, or it is not as it was written.
    """
    checkpoint = _checkpoint(source, best=best)
    run = checkpoint.parent.parent if checkpoint.absolute().parent.name == CHECKPOINTS else None
    if run is None or not (run / RECIPE).is_file():
        return Origin(checkpoint, _version(checkpoint), None, RecordReader(checkpoint))
    return Origin(checkpoint, _version(checkpoint), load(run / RECIPE), read_record(run))


def _checkpoint(source: Path, *, best: bool) -> Path:
    given = source / CHECKPOINTS / BEST if best else source
    if best and not given.is_dir():
        raise RunError(
            f"run {source}: no {CHECKPOINTS}/{BEST} there, as no evaluation was finished; leave "
            "--best out for its newest checkpoint"
        )
    if (given / MODEL).is_dir():
        if wrong := inventory.fault(given):
            raise RunError(f"checkpoint {given}: {wrong}; give another, or the run's directory")
        return given
    newest = newest_intact(given / CHECKPOINTS)
    if newest is None:
        raise RunError(
            f"checkpoint {given}: neither an intact checkpoint nor the directory of a run with one"
        )
    return newest


def _version(checkpoint: Path) -> int | None:
    for name in (STATE, EVALUATION):
        if (path := checkpoint / name).is_file():
            return int(json.loads(path.read_text())["version"])
    return None
