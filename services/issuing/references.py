r"""Reference answers that math-verify cannot read: against those, nothing can be verified.

What is plain is known to be readable; the others are read by child processes, once each, which are
killed when they take too long. Which rows are used decides the order of the problems, so a busy
machine must not: the time is a thousand times what an answer takes.
"""

import contextlib
import logging
import os
import re
import resource
import signal
from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any

from openrs_core.lifecycle import die_with_parent
from services.issuing.progress import reported

logger = logging.getLogger(__name__)

SOFT_SECONDS, DEADLINE_SECONDS = 20, 30.0
"""For one answer: of math-verify's own alarm, in whole seconds, and until its child is killed."""

MEMORY_MIB = 2048
"""Of a child."""

MOST_CHILDREN = 8

MOST = 10_000
"""Answers that are read, unless every one is to be: a minute on two cores."""

EXPRESSION, TEXT, UNREADABLE = "expression", "text", "math-verify cannot read its answer"

_DIVISOR = r"0*[1-9]\d*"
# Atomic, so that no list of numbers is tried in all the ways in which its commas can be read.
_TERM = (
    rf"(?>-?(?:\d+/{_DIVISOR}|\\[dt]?frac\{{-?\d+\}}\{{{_DIVISOR}\}}"
    r"|\d*\s?\\sqrt\{\d+\}|\d*\s?\\pi"
    r"|(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?))"
)
_LIST = rf"{_TERM}(?:\s*,\s*{_TERM})*"
_PLAIN = re.compile(rf"\$?(?:{_LIST}|\({_LIST}\))\$?")

# With gmpy2, some inputs outlive every signal: keep sympy and mpmath on Python's integers.
_PURE_PYTHON = {"SYMPY_GROUND_TYPES": "python", "MPMATH_NOGMPY": "1"}


@dataclass(frozen=True, slots=True)
class Readings:
    """What came of reading reference answers."""

    unreadable: dict[str, str]
    """Answers against which nothing can be verified, and why."""
    texts: set[str]
    """Answers without an expression: only the same text is equal to one."""


def is_plain(answer: str) -> bool:
    r"""Is it a number, a fraction, a root, a multiple of $\pi$, or a list of those?"""
    return _PLAIN.fullmatch(answer) is not None


def read_answers(answers: Iterable[str], *, every: bool = False) -> Readings:
    """Try to read the answers; where math-verify is missing, none is tried.

    Of a large data set the first that are not plain stand for all, unless `every` one is asked for:
    against an unreadable one the scorer verifies nothing, so it is never trained on.
    """
    doubtful = list(dict.fromkeys(answer for answer in answers if not is_plain(answer)))
    if doubtful and not (find_spec("math_verify") and find_spec("pebble")):
        logger.warning("reference answers are not checked: math-verify is not installed here")
        return Readings({}, set())
    if len(doubtful) > MOST and not every:
        logger.info("of %d answers that are not plain, %d are checked", len(doubtful), MOST)
        doubtful = doubtful[:MOST]
    return _read_by_children(doubtful) if doubtful else Readings({}, set())


def _read_by_children(answers: list[str]) -> Readings:
    from pebble import ProcessPool

    pool = ProcessPool(
        max_workers=min(MOST_CHILDREN, len(answers), len(os.sched_getaffinity(0))),
        context=get_context("spawn"),
        initializer=_begin_child,
    )
    try:
        futures = [pool.schedule(read, (a,), timeout=DEADLINE_SECONDS) for a in answers]
        seen = reported(futures, "reading reference answers", len(answers))
        found = dict(zip(answers, map(_outcome, seen), strict=True))
    finally:
        pool.stop()
        pool.join()
    faults = {answer: fault for answer, fault in found.items() if fault not in (EXPRESSION, TEXT)}
    return Readings(faults, {answer for answer in found if found[answer] == TEXT})


def _outcome(future: Any) -> str:
    from pebble import ProcessExpired

    try:
        return str(future.result())
    except FutureTimeoutError:
        return f"math-verify reads its answer for more than {DEADLINE_SECONDS:.0f} s"
    except ProcessExpired:
        return "math-verify dies of its answer"


def read(answer: str) -> str:
    """What math-verify finds in the answer: an expression, a text, or a fault (in a child)."""
    from math_verify import LatexExtractionConfig, parse

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    boxed = f"\\boxed{{{answer.strip().strip('$')}}}"
    try:
        found = parse(boxed, config, parsing_timeout=SOFT_SECONDS, raise_on_error=True)
    except BaseException:  # noqa: BLE001  sympy raises anything at all, and an alarm of its own
        return UNREADABLE
    if all(isinstance(each, str) for each in found):
        return TEXT if found else UNREADABLE
    return EXPRESSION


def _begin_child() -> None:
    die_with_parent()
    os.environ.update(_PURE_PYTHON)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB << 20, MEMORY_MIB << 20))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    logging.disable(logging.CRITICAL)  # math-verify logs what it cannot read
    with contextlib.suppress(ImportError):  # not in the time of the first answer
        import math_verify  # noqa: F401
