"""The policy that did best on held-out problems, kept beside the checkpoints.

    checkpoints/best/
        model/             the policy as a plain Hugging Face directory
        evaluation.json    its line of the record: version, accuracy, standard error, …
        files.json         size and digest of the others (see `record.inventory`)

Whole or not there; beside it, for a moment: `best.partial` is being written, `best.replaced` makes
way. It may be of steps that a later life of the learner made void: it was measured all the same.
"""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.record import inventory
from openrs_core.record.checkpoint import BEST, EVALUATION, MODEL
from openrs_core.record.lines import EvaluationLine
from services.learner.directories import (
    SavesPretrained,
    complete_model,
    filled_the_disk,
    free_bytes,
    put,
    sync,
)

logger = logging.getLogger(__name__)


class Best:
    """The best policy of one run."""

    def __init__(
        self, directory: Path, by: str, tokenizer: SavesPretrained, base: Path | None = None
    ) -> None:
        """Of the run's directory of checkpoints; `by`: the set whose sampled accuracy counts.

        `base`: the base model's directory, as for a checkpoint. What a crash left is put in order.
        """
        self._path, self._by = directory / BEST, by
        self._tokenizer, self._base = tokenizer, base
        self._partial, self._aside = (
            directory / f"{BEST}.{end}" for end in ("partial", "replaced")
        )
        if self._aside.exists() and not self._path.exists():
            self._aside.rename(self._path)
        for left in (self._partial, self._aside):
            shutil.rmtree(left, ignore_errors=True)

    @property
    def accuracy(self) -> float | None:
        """Of the policy that is kept; None: there is none, or not as it was written."""
        if not self._path.exists():
            return None
        if wrong := inventory.fault(self._path, digests=False):
            logger.warning("%s is replaced: %s", self._path, wrong)
            return None
        return float(json.loads((self._path / EVALUATION).read_text())["accuracy"])

    def offer(self, lines: list[EvaluationLine], write_model: Callable[[Path], None]) -> None:
        """Keep the policy of an evaluation, if it is better than the one that is kept.

        `write_model` writes its weights and configuration to a directory.

        Raises:
            RunError: the disk is full; what was kept before is untouched.
        """
        for line in lines:
            if (line.set, line.mode) == (self._by, "sampled"):
                kept = self.accuracy
                if kept is None or line.accuracy > kept:
                    self._keep(line, write_model)

    def _keep(self, line: EvaluationLine, write_model: Callable[[Path], None]) -> None:
        try:
            self._write(line, write_model)
        except Exception as error:
            logger.warning("%s could not be written: %s", self._path, error)
            full = filled_the_disk(error, self._path.parent)
            shutil.rmtree(self._partial, ignore_errors=True)
            if full:
                free = free_bytes(self._path.parent)
                raise RunError(
                    f"{self._path}: the disk is full ({free:,} bytes free); make room, then start "
                    "the learner again (openrs up: --resume)"
                ) from error
            raise
        logger.info(
            "%s: version %d, accuracy %.4f on %s", self._path, line.version, line.accuracy, line.set
        )

    def _write(self, line: EvaluationLine, write_model: Callable[[Path], None]) -> None:
        self._partial.mkdir(parents=True)
        write_model(self._partial / MODEL)
        complete_model(self._partial / MODEL, self._tokenizer, self._base)
        (self._partial / EVALUATION).write_text(json.dumps(asdict(line), indent=1) + "\n")
        inventory.write(self._partial)
        sync(self._partial)
        put(self._partial, self._path, self._aside)
        shutil.rmtree(self._aside, ignore_errors=True)
