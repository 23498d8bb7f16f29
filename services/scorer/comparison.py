"""Two answers compared by math-verify, in a child process.

Its own limit is an alarm by the clock, which a busy machine sets off: it is not used.
"""

import contextlib
import logging
import math
import re
import sys
from functools import lru_cache
from types import FrameType
from typing import Any

from openrs_core.wire.messages import Verdict
from services.scorer.limits import SpentError, limit_process, processor_time
from services.scorer.number import are_numbers, is_number, scientific

TOO_MUCH = (SpentError, MemoryError, RecursionError, OverflowError)
"""What an answer that is too large or too slow ends in."""

READING_SECONDS = 20.0
"""Processor time for reading a reference: what could be read when the data was loaded, can be."""

PLACES = 6
"""Digits after the point, or after the first one that is not 0, in which decimals must agree."""

# A power in an exponent, or factorials of factorials.
_TOWER = re.compile(r"(?:\^|\*\*)\s*[{(][^{}^*]*(?:\^|\*\*)|!\s*\)?\s*!\s*\)?\s*!")

# Numbers in bold or Roman type, perhaps in brackets, are letters to math-verify.
_SET_NUMBER = re.compile(
    r"\\(?:text|textbf|textit|mathbf|mathrm|boldsymbol)"
    r"\{\s*(?:([-+]?[\d,]*\.?\d+)|\(([-+]?[\d,]*\.?\d+)\))\s*\}"
)

_EXPONENT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([-+]?\d+)(?!\w)")


def begin_child(memory_mib: int) -> None:
    """Prepare a child that compares."""
    limit_process(memory_mib)
    logging.disable(logging.CRITICAL)  # printing a hostile expression can itself hang
    with contextlib.suppress(ImportError):  # not in the time of the first answer
        import math_verify  # noqa: F401


def compare(answer: str, reference: str, cpu_seconds: float) -> Verdict:
    """The verdict on an answer, which may cost `cpu_seconds` of processor time."""
    try:
        with processor_time(READING_SECONDS):
            expected = _parse(reference)
    except BaseException:  # noqa: BLE001  sympy raises anything at all
        expected = []
    if not expected:
        return "error"  # an unreadable reference must not count as a wrong answer
    try:
        with processor_time(cpu_seconds):
            return _judge(answer, reference, expected)
    except BaseException as error:  # noqa: BLE001  sympy raises anything at all
        return "timeout" if isinstance(error, TOO_MUCH) else "incorrect"


def is_tower(answer: str) -> bool:
    """May the answer stand for a number that no memory holds?"""
    return _TOWER.search(answer) is not None


def _judge(answer: str, reference: str, expected: list[Any]) -> Verdict:
    from math_verify import verify as equal

    given = _parse(answer)
    if not given or (are_numbers(_text(expected)) and not are_numbers(_text(given))):
        return "incorrect"
    with _GivingUp(watched=is_tower(answer) or is_tower(reference)) as giving_up:
        right = equal(
            expected, given, float_rounding=_places(expected), timeout_seconds=None,
            raise_on_error=True,
        )  # fmt: skip
    if giving_up.seen and not right:
        return "timeout"
    return "correct" if right else "incorrect"


def _text(parsed: list[Any]) -> str:
    """What math-verify made of the text: without units, fractions in one form."""
    return str(parsed[-1])


def _places(expected: list[Any]) -> int:
    """Decimal places that matter: 0 is not equal to 1.6e-19."""
    if not is_number(_text(expected)):
        return PLACES
    try:
        return PLACES - min(0, math.ceil(math.log10(abs(float(expected[0])))))
    except (TypeError, ValueError, OverflowError):  # 0, no number, or beyond a float
        return PLACES


class _GivingUp:
    """Sees whether math-verify ran out of memory, depth or range: it swallows that, and says
    `unequal`. Watching slows it down several times, so it is done for towers alone."""

    def __init__(self, *, watched: bool) -> None:
        self.seen, self._watched = False, watched

    def __enter__(self) -> "_GivingUp":
        if self._watched:
            sys.settrace(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _look(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_lines = False
        if event == "exception":
            self.seen |= issubclass(argument[0], MemoryError | RecursionError | OverflowError)
        return self._look


@lru_cache(maxsize=4096)
def _parse(answer: str) -> list[Any]:
    r"""What math-verify reads: an expression, if it finds one, and the text it made of it.

    It takes any two products with small powers of ten for equal: so a multiple of a power of ten
    is made a decimal.
    """
    from math_verify import LatexExtractionConfig, parse
    from sympy import Float

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    plain = _legible(answer)
    boxed = plain if "\\boxed{" in plain else f"\\boxed{{{plain}}}"
    found: list[Any] = parse(
        boxed, extraction_config=config, parsing_timeout=None, raise_on_error=True
    )
    if found and (power := scientific(_text(found))):
        found[0] = Float(power)
    return found


def _legible(answer: str) -> str:
    """The answer as math-verify reads it: it takes the e of 4.8e4 for Euler's number."""
    plain = re.sub(r"(?<![\\.,;])[.,;]$", "", answer.strip().strip("$").rstrip())
    plain = _SET_NUMBER.sub(lambda number: number[1] or number[2], plain)
    return _EXPONENT.sub(r"\1\\times 10^{\2}", plain)
