"""`openrs export`: a checkpoint's model as a plain Hugging Face directory."""

import shutil
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.record import inventory
from openrs_core.record.checkpoint import newest_intact


def export_model(source: Path, directory: Path) -> str:
    """Copy the model of a checkpoint (or of a run's newest intact one) to a new directory.

    Raises:
        RunError: there is no checkpoint, or it is not as it was written, or the directory exists.
    """
    checkpoint = _checkpoint(source)
    if directory.exists():
        raise RunError(f"directory {directory} exists; give one that does not")
    shutil.copytree(checkpoint / "model", directory)
    return f"{directory}: the model of {checkpoint}"


def _checkpoint(source: Path) -> Path:
    if (source / "model").is_dir():
        if wrong := inventory.fault(source):
            raise RunError(f"checkpoint {source}: {wrong}; give another, or the run's directory")
        return source
    newest = newest_intact(source / "checkpoints")
    if newest is None:
        raise RunError(
            f"checkpoint {source}: neither an intact checkpoint nor the directory of a run with one"
        )
    return newest
