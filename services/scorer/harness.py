r"""What the evaluation of Open-RS would have credited: lighteval's metric, by math-verify.

It reads the whole completion, thought and all, cut off or not: first what follows `final answer is`
and ends in `I hope`, and every box, the last one before the others; where none of these can be
read, other formulas and numbers. lighteval's `extractive_match` as Open-RS configured it (0.6.0,
arXiv 2503.16219); math-verify is the library that was made of it.
"""

from functools import lru_cache
from typing import Any

from openrs_core.wire.messages import Verdict
from services.scorer.comparison import READING_SECONDS, TOO_MUCH
from services.scorer.limits import processor_time

ROUNDED = 5
"""Digits after the point in which decimals must agree: the metric's `precision`."""


def credit(text: str, reference: str, cpu_seconds: float) -> Verdict:
    """Would the harness credit the completion? `correct` or `incorrect`, else `timeout`.

    The reference stands for the gold text of a benchmark, which is a bare answer or a solution that
    ends in a box: it is read as such a box. One that cannot be read is compared as text.
    """
    try:
        with processor_time(READING_SECONDS):
            gold = _gold(reference)
        with processor_time(cpu_seconds):
            return "correct" if _agree(gold, text) else "incorrect"
    except BaseException as error:  # noqa: BLE001  sympy raises anything at all
        return "timeout" if isinstance(error, TOO_MUCH) else "incorrect"


def _agree(gold: list[Any], text: str) -> bool:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, verify

    targets = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
    right: bool = verify(
        gold, _parsed(text, targets), float_rounding=ROUNDED, timeout_seconds=None
    )  # what it raises over one pair of forms leaves the others to be compared
    return right


@lru_cache(maxsize=4096)
def _gold(reference: str) -> list[Any]:
    from math_verify import LatexExtractionConfig

    return _parsed(f"$\\boxed{{{reference}}}$", (LatexExtractionConfig(),)) or [reference]


def _parsed(text: str, targets: tuple[Any, ...]) -> list[Any]:
    from math_verify import parse

    found: list[Any] = parse(
        text, targets, fallback_mode="first_match", extraction_mode="any_match",
        parsing_timeout=None,
    )  # fmt: skip
    return found
