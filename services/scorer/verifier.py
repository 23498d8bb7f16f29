"""math-verify in child processes with a hard deadline: the only file that imports it.

Its own timeout is a signal that some inputs outlive, so a child that has not answered by the
deadline is killed and replaced; the others go on. A child may not take more memory than it is
given, and it dies with its scorer. Whatever happens to it, one completion gets one verdict.
"""

import contextlib
import logging
import multiprocessing
import os
import resource
import signal
import sys
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import lru_cache
from multiprocessing import forkserver
from types import FrameType
from typing import Any

from pebble import ProcessExpired, ProcessPool

from openrs_core import metrics
from openrs_core.boxed import LONGEST
from openrs_core.lifecycle import die_with_parent
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.wire.messages import Completion, Verdict
from services.scorer.answer import final_answer, is_tower, is_unevaluated

logger = logging.getLogger(__name__)

SOFT_SECONDS = 3
"""math-verify's own limit for parsing and for comparing; whole seconds, or it fails silently."""

TASKS_PER_CHILD = 2000
"""A child is replaced after this many, before caches and leaks grow."""

# With gmpy2, some inputs outlive every signal: keep sympy and mpmath on Python's integers.
_PURE_PYTHON = {"SYMPY_GROUND_TYPES": "python", "MPMATH_NOGMPY": "1"}


class VerifierPool:
    """Answers in, verdicts out, whatever the answers do to the processes that read them."""

    def __init__(self, rules: ScorerSection) -> None:
        os.environ.update(_PURE_PYTHON)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["services.scorer.verifier", "math_verify"])
        self._deadline = rules.deadline_seconds
        self._pool = ProcessPool(
            max_workers=rules.workers,
            max_tasks=TASKS_PER_CHILD,
            context=context,
            initializer=_begin_child,
            initargs=(rules.memory_mib,),
        )

    def submit(self, completion: Completion, reference: str) -> "Future[Verdict]":
        """Begin to verify a completion against the reference answer."""
        answer = final_answer(completion.text, completion.finish_reason == "stop")
        if answer is None:
            return known("no_answer")
        if verdict := _at_a_glance(answer, reference):
            return known(verdict)
        future: Future[Verdict] = self._pool.schedule(
            verify, args=(answer, reference), timeout=self._deadline
        )
        return future

    def close(self) -> None:
        """End the children."""
        self._pool.stop()
        self._pool.join()


def _at_a_glance(answer: str, reference: str) -> Verdict | None:
    """The verdict that needs no mathematics, if there is one."""
    if len(reference) > LONGEST:
        return "error"  # as an unreadable one
    if answer == reference.strip():
        return "correct"
    return "incorrect" if is_unevaluated(answer, reference) else None


def verdict_of(future: "Future[Verdict]") -> Verdict:
    """The verdict of a verification; a killed child's is `timeout`, a dead one's `error`."""
    try:
        return future.result()
    except FutureTimeoutError:
        metrics.VERIFIERS_KILLED.inc()
        return "timeout"
    except ProcessExpired as error:
        metrics.VERIFIERS_KILLED.inc()
        logger.warning("a verifier died: %s", error)
        return "error"


def verify(answer: str, reference: str) -> Verdict:
    """Compare two answers (in a child)."""
    from math_verify.errors import TimeoutException

    try:
        return _compare(answer, reference)
    except TimeoutException:  # a BaseException of math-verify's
        return "timeout"
    except BaseException:  # noqa: BLE001  sympy raises anything at all; the parent wants a verdict
        return "error"


def _compare(answer: str, reference: str) -> Verdict:
    from math_verify import verify as equal

    gold, given = _parse(reference), _parse(answer)
    if not gold:
        return "error"  # an unreadable reference must not count as a wrong answer
    if not given:
        return "incorrect"
    with _GivingUp(watched=is_tower(answer) or is_tower(reference)) as giving_up:
        right = equal(gold, given, timeout_seconds=SOFT_SECONDS, raise_on_error=True)
    if giving_up.seen and not right:
        return "error"
    return "correct" if right else "incorrect"


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
    from math_verify import LatexExtractionConfig, parse

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    boxed = answer if "\\boxed{" in answer else f"\\boxed{{{answer.strip().strip('$')}}}"
    found: list[Any] = parse(
        boxed, extraction_config=config, parsing_timeout=SOFT_SECONDS, raise_on_error=True
    )
    return found


def _begin_child(memory_mib: int) -> None:
    limit = memory_mib << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_scorer()
    logging.disable(logging.CRITICAL)  # printing a hostile expression can itself hang
    with contextlib.suppress(ImportError):  # pay for the import before the first deadline runs
        import math_verify  # noqa: F401


def _end_with_scorer() -> None:
    """However the scorer ends, even in the middle of an endless calculation.

    The fork server ends when nobody holds its pipe any longer, and Linux ends its children then.
    """
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    die_with_parent()
    scorer = multiprocessing.parent_process()
    if scorer is not None and not scorer.is_alive():
        os._exit(1)  # it was too late to ask


def known(verdict: Verdict) -> "Future[Verdict]":
    """A verdict that needs no verifier."""
    future: Future[Verdict] = Future()
    future.set_result(verdict)
    return future
