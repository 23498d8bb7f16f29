"""Checkpoints on disk: what is in one, and which of a run's is the newest intact.

    step-000030/
        state.json    format, version, incarnation, fingerprint of the recipe, ledger and data
                      cursor, prompts in flight, health, what the algorithm remembers
        model/        the policy as a plain Hugging Face directory
        optimizer/    float32 masters, AdamW's moments and step count, whole per parameter; the
                      reference of the KL, once it was reset
        files.json    size and digest of every other file; written last (see `inventory`)

Beside them, for a moment: `partial-…` is being written, `replaced-…` makes way for another of its
step, `removed-…` is being removed.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openrs_core.errors import RunError
from openrs_core.record import inventory

logger = logging.getLogger(__name__)

PREFIX, PARTIAL, REPLACED, REMOVED = "step-", "partial-", "replaced-", "removed-"
STATE, MODEL, OPTIMIZER = "state.json", "model", "optimizer"

BEST, EVALUATION = "best", "evaluation.json"
"""Beside the checkpoints: the policy whose evaluation was best, `model/` and what it came to."""

FORMAT = 4
"""Of state.json. 1 had no number and no prompts, 3 not every field of a prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """The small part of a checkpoint."""

    version: int
    incarnation: int
    fingerprint: str
    """Of the recipe."""
    ledger: dict[str, Any]
    prompts: list[dict[str, Any]]
    """Those in flight, as they were issued."""
    health: dict[str, Any]
    algorithm: dict[str, Any]
    """What the choices of learning remember: weight of entropy, length, difficulty and the like."""
    format: int = FORMAT


def write_state(checkpoint: Path, state: State) -> None:
    """Write `state.json`."""
    (checkpoint / STATE).write_text(json.dumps(asdict(state)))


def read_state(checkpoint: Path) -> State:
    """The small part of a checkpoint.

    Raises:
        RunError: another openrs wrote it, in a form that this one does not read.
        OSError, ValueError, TypeError: it is missing or torn.
    """
    fields = json.loads((checkpoint / STATE).read_text())
    if (found := fields.get("format", 1)) != FORMAT:
        raise RunError(
            f"checkpoint {checkpoint} has format {found}, this openrs reads {FORMAT}: go on with "
            f"the openrs that wrote it, or begin a new run from model.path = {checkpoint / MODEL}"
        )
    return State(**fields)


def newest_intact(directory: Path) -> Path | None:
    """The newest checkpoint in a run's directory of them that is as it was written.

    Newest is the latest version of the latest incarnation: an earlier life of the learner may have
    left a later step. What is torn or altered is passed over with a warning, and stays.
    """
    for path in newest_first(directory, PREFIX, REPLACED):
        wrong = fault(path)
        if not wrong:
            return path
        logger.warning("checkpoint %s is passed over: %s", path, wrong)
    return None


def newest_first(directory: Path, *prefixes: str) -> list[Path]:
    """By incarnation, then version; those that cannot say come first."""
    found = [path for prefix in prefixes for path in directory.glob(f"{prefix}*")]
    return sorted(found, key=order, reverse=True)


def fault(checkpoint: Path, *, digests: bool = True) -> str:
    """What is wrong with a checkpoint; empty: nothing. Without `digests` few bytes are read."""
    unreadable, _, _ = order(checkpoint)
    return inventory.fault(checkpoint, digests=digests) or (
        f"{STATE} cannot be read" if unreadable else ""
    )


def order(checkpoint: Path) -> tuple[bool, int, int]:
    """Is it unreadable? Else its incarnation and version, whatever its format.

    A checkpoint of another format is not passed over in silence; it is refused by name when it is
    to be loaded.
    """
    try:
        fields = json.loads((checkpoint / STATE).read_text())
        return False, int(fields["incarnation"]), int(fields["version"])
    except (OSError, ValueError, TypeError, KeyError):
        return True, 0, 0
