"""Writing checkpoints, so that each is whole or not there; what is in one: `record.checkpoint`.

Written under a temporary name, synced to disk, renamed. The learner draws no random numbers (the
data order is a function of seed and position), so there is no random state to keep.
"""

import logging
import shutil
from pathlib import Path
from typing import Protocol

from openrs_core import metrics
from openrs_core.errors import RunError
from openrs_core.record import inventory
from openrs_core.record.checkpoint import (
    MODEL,
    OPTIMIZER,
    PARTIAL,
    PREFIX,
    REMOVED,
    REPLACED,
    State,
    fault,
    newest_first,
    newest_intact,
    order,
    read_state,
    write_state,
)
from services.learner.directories import (
    SavesPretrained,
    complete_model,
    filled_the_disk,
    free_bytes,
    put,
    sync,
)

logger = logging.getLogger(__name__)


class Saves(Protocol):
    """What a checkpoint asks of the trainer."""

    def save(self, directory: Path) -> None:
        """Write weights and optimizer."""

    def load(self, directory: Path) -> None:
        """Restore them."""

    def write_model(self, directory: Path) -> None:
        """Write the policy as a Hugging Face directory."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(
        self, directory: Path, keep: int, tokenizer: SavesPretrained, base: Path | None = None
    ) -> None:
        """`base`: the base model's directory, whose end-of-sequence tokens every policy has."""
        self._directory, self._keep, self._tokenizer = directory, keep, tokenizer
        self._base = base
        self._written: Path | None = None

    def newest(self) -> Path | None:
        """The newest that is intact."""
        return newest_intact(self._directory)

    def load(self, path: Path, fingerprint: str) -> State:
        """The small part of a checkpoint; the trainer loads its own.

        Raises:
            RunError: it was written under a recipe of another fingerprint, or by another openrs.
        """
        state = read_state(path)
        if state.fingerprint != fingerprint:
            raise RunError(
                f"checkpoint {path} was written under another recipe (fingerprint "
                f"{state.fingerprint}, not {fingerprint}); use the run's recipe, or another --run"
            )
        return state

    def save(self, trainer: Saves, state: State) -> Path:
        """Write a checkpoint; when this returns, it survives a power cut.

        Raises:
            RunError: the disk is full; what was there before is untouched.
        """
        target = self._directory / f"{PREFIX}{state.version:06d}"
        if _is_of(target, state, digests=target != self._written):  # while Redis is full, often
            return target
        partial = self._directory / f"{PARTIAL}{state.version:06d}.{state.incarnation}"
        try:
            with metrics.CHECKPOINT_SECONDS.time():
                self._write(partial, trainer, state)
                put(partial, target, _aside(target))
        except Exception as error:
            logger.warning("checkpoint %s could not be written: %s", target, error)
            full = filled_the_disk(error, self._directory)
            shutil.rmtree(partial, ignore_errors=True)
            if full:
                raise self._no_room(target) from error
            raise
        self._written = target
        self._remove_old(state.incarnation)
        logger.info("checkpoint %s", target)
        return target

    def _write(self, partial: Path, trainer: Saves, state: State) -> None:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        trainer.save(partial / OPTIMIZER)
        trainer.write_model(partial / MODEL)
        complete_model(partial / MODEL, self._tokenizer, self._base)
        write_state(partial, state)
        inventory.write(partial)
        sync(partial)

    def _remove_old(self, incarnation: int) -> None:
        """Keep the newest; what is torn stays too, and counts for none of them."""
        whole = [
            path
            for path in newest_first(self._directory, PREFIX)
            if not inventory.fault(path, digests=False)
        ]
        for path in whole[self._keep :]:  # renamed first: half removed, it would look torn
            removed = self._directory / f"{REMOVED}{path.name}"
            shutil.rmtree(removed, ignore_errors=True)
            path.rename(removed)
        left = [*self._directory.glob(f"{REPLACED}*"), *self._directory.glob(f"{REMOVED}*")]
        dead = [p for p in self._directory.glob(f"{PARTIAL}*") if _written_by(p) < incarnation]
        for path in left + dead:
            shutil.rmtree(path, ignore_errors=True)

    def _no_room(self, target: Path) -> RunError:
        free = free_bytes(self._directory)
        newest = self.newest()
        good = f"the newest good checkpoint is {newest}" if newest else "no checkpoint is there yet"
        return RunError(
            f"checkpoint {target}: the disk is full ({free:,} bytes free in {self._directory}); "
            f"{good}; make room, then start the learner again (openrs up: --resume)"
        )


def _is_of(path: Path, state: State, *, digests: bool) -> bool:
    """Is this an intact checkpoint of the same incarnation and version?"""
    if not path.exists():
        return False
    if wrong := fault(path, digests=digests):
        logger.warning("checkpoint %s is replaced: %s", path, wrong)
        return False
    return order(path) == (False, state.incarnation, state.version)


def _aside(target: Path) -> Path:
    """Where one makes way for another of its step; it is still found there."""
    return target.with_name(target.name.replace(PREFIX, REPLACED))


def _written_by(partial: Path) -> int:
    """The incarnation in the name of one that is being written."""
    incarnation = partial.name.rpartition(".")[2]
    return int(incarnation) if incarnation.isdigit() else 0
