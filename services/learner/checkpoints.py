"""Checkpoints: everything a resumed learner needs, written so that it is whole or not there.

    step-000030/
        state.json    version, incarnation, ledger and data cursor, the recipe's fingerprint
        model/        the policy as a plain Hugging Face directory
        optimizer/    float32 masters, AdamW's moments and step count, whole per parameter

Written under a temporary name, synced to disk, renamed. The learner draws no random numbers (the
data order is a function of seed and position), so there is no random state to keep.
"""

import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from openrs_core import metrics

logger = logging.getLogger(__name__)

PREFIX = "step-"


class Saves(Protocol):
    """What a checkpoint asks of the trainer."""

    def save(self, directory: Path) -> None:
        """Write weights and optimizer."""

    def load(self, directory: Path) -> None:
        """Restore them."""

    def write_model(self, directory: Path) -> None:
        """Write the policy as a Hugging Face directory."""


class SavesPretrained(Protocol):
    """What a checkpoint asks of the tokenizer."""

    def save_pretrained(self, save_directory: Path) -> Any:
        """Write its files beside the model's, so that the directory stands alone."""


@dataclass(frozen=True, slots=True)
class State:
    """The small part of a checkpoint."""

    version: int
    incarnation: int
    fingerprint: str
    ledger: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, keep: int, tokenizer: SavesPretrained) -> None:
        self._directory, self._keep, self._tokenizer = directory, keep, tokenizer

    def newest(self) -> Path | None:
        """The newest complete checkpoint."""
        found = sorted(self._directory.glob(f"{PREFIX}*"))
        return found[-1] if found else None

    def load(self, path: Path) -> State:
        """The small part of a checkpoint; the trainer loads its own."""
        return State(**json.loads((path / "state.json").read_text()))

    def save(self, trainer: Saves, state: State) -> Path:
        """Write a checkpoint; when this returns, it survives a power cut."""
        target = self._directory / f"{PREFIX}{state.version:06d}"
        if target.exists():
            return target
        with metrics.CHECKPOINT_SECONDS.time():
            partial = self._directory / f"partial-{state.version:06d}"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            trainer.save(partial / "optimizer")
            trainer.write_model(partial / "model")
            self._tokenizer.save_pretrained(partial / "model")
            fields = {name: getattr(state, name) for name in state.__slots__}
            (partial / "state.json").write_text(json.dumps(fields))
            _sync(partial)
            partial.rename(target)
            _sync_directory(self._directory)
        self._remove_old()
        logger.info("checkpoint %s", target)
        return target

    def _remove_old(self) -> None:
        for path in sorted(self._directory.glob(f"{PREFIX}*"))[: -self._keep]:
            shutil.rmtree(path)


def _sync(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in [*directory.rglob("*"), directory]:
        if path.is_dir():
            _sync_directory(path)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
