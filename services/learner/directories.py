"""Directories that are whole or not there, and still there after a power cut."""

import os
import shutil
from pathlib import Path
from typing import Any, Protocol

from openrs_core.errors import is_disk_full

GENERATION = "generation_config.json"

LEAST_BYTES = 2**20
"""With less than this free, a failure to write is taken for a full disk, whatever it is called."""


class SavesPretrained(Protocol):
    """What is asked of the tokenizer."""

    def save_pretrained(self, save_directory: Path) -> Any:
        """Write its files beside the model's, so that the directory stands alone."""


def complete_model(model: Path, tokenizer: SavesPretrained, base: Path | None) -> None:
    """Put beside a model's weights what else it takes to use them.

    `base`: the base model's directory, whose end-of-sequence tokens every policy has. Without what
    it says of its generation, all but one of several such tokens would be forgotten.
    """
    tokenizer.save_pretrained(model)
    if base and (path := base / GENERATION).is_file():
        shutil.copyfile(path, model / GENERATION)


def put(partial: Path, target: Path, aside: Path) -> None:
    """Give a finished directory its name; another of that name makes way, and is there until then.

    A crash between the two renames leaves the other as `aside`.
    """
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
    partial.rename(target)
    sync_directory(target.parent)


def filled_the_disk(error: BaseException, directory: Path) -> bool:
    """Did it fail for want of room? Libraries hide the number in a text, or do not say at all."""
    cause: BaseException | None = error
    while cause:
        hidden = "os error 28" in str(cause) or "No space left on device" in str(cause)
        if is_disk_full(cause) or hidden:
            return True
        cause = cause.__cause__ or cause.__context__
    return free_bytes(directory) < LEAST_BYTES


def free_bytes(directory: Path) -> int:
    """Room for a directory that may not exist yet."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    return shutil.disk_usage(there).free


def sync(directory: Path) -> None:
    """All that is in it is on disk when this returns."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in [*directory.rglob("*"), directory]:
        if path.is_dir():
            sync_directory(path)


def sync_directory(directory: Path) -> None:
    """So are the names of what is in it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
