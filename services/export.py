"""`openrs export`: a checkpoint's model as a plain Hugging Face directory."""

import shutil
from pathlib import Path

from openrs_core.errors import RunError


def export_model(source: Path, directory: Path) -> str:
    """Copy the model of a checkpoint (or of a run's newest) to a new directory.

    Raises:
        RunError: there is no checkpoint, or the directory exists.
    """
    checkpoint = _checkpoint(source)
    if directory.exists():
        raise RunError(f"directory {directory} exists; give one that does not")
    shutil.copytree(checkpoint / "model", directory)
    return f"{directory}: the model of {checkpoint}"


def _checkpoint(source: Path) -> Path:
    if (source / "model").is_dir():
        return source
    found = sorted((source / "checkpoints").glob("step-*"))
    if not found:
        raise RunError(f"checkpoint {source}: no checkpoint and no run with one is there")
    return found[-1]
