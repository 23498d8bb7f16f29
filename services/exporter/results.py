"""What evaluations found of an exported model, and of others beside it, for its card."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openrs_core.errors import RunError
from services.evaluator.report import MEANING, settings, table
from services.evaluator.result import RESULT, Result, read_result

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Results:
    """Evaluations of the model itself, and those that were given to be shown beside them."""

    own: list[Result]
    others: list[Result]

    def text(self) -> str:
        """As Markdown; empty: there are none."""
        parts = [_one(result, "This model") for result in self.own]
        parts += [_one(result, result.model.name) for result in self.others]
        return "\n\n".join([*parts, MEANING.rstrip()]) if parts else ""


def results(given: Sequence[Path], evals: Path, model: Path) -> Results:
    """Those that are given, and those in the directory of evaluations that are of this model.

    A result is of the model where it names the digest of its weights.

    Raises:
        RunError: one that is given is none, or is damaged; those that are found are passed over.
    """
    digests: dict[str, str] = {}
    read = [read_result(path) for path in given]
    own = [result for result in read if _is_of(result, model, digests)]
    others = [result for result in read if result not in own]
    found = [each for each in _found(evals) if each not in own and _is_of(each, model, digests)]
    return Results(own + found, others)


def _found(evals: Path) -> list[Result]:
    """Every finished evaluation, by the name of its directory."""
    found = []
    for path in sorted(evals.glob(f"*/{RESULT}")):
        try:
            found.append(read_result(path))
        except RunError as error:
            logger.warning("%s; it is not on the card", error)
    return found


def _is_of(result: Result, model: Path, digests: dict[str, str]) -> bool:
    """Is it about these weights, in the type in which it had them?"""
    dtype = result.model.dtype
    if dtype not in digests:
        from services.model.weights import base_policy  # imports torch

        digests[dtype] = base_policy(str(model), dtype).digest()
    return digests[dtype] == result.model.digest


def _one(result: Result, title: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return (
        f"### {title}\n\n{table(result)}\n\n<details>\n<summary>How it was evaluated</summary>\n\n"
        f"{settings(result.protocol)}\n\n{versions}\n\n</details>"
    )
