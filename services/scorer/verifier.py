"""Answers verified in child processes: whatever happens to one, a completion gets one verdict.

A child that used up its processor time ends by itself, or by the kernel: `timeout`. One that dies
for another reason may have been killed by chance, so its answer is given to a fresh child once. One
that has not answered by the deadline is killed: the machine was too slow, which says nothing about
the answer: `error`.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field, replace
from typing import Any

from pebble import ProcessExpired, ProcessPool

from openrs_core import metrics
from openrs_core.boxed import LONGEST
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.wire.messages import Completion, Prompt, Verdict
from services.scorer.answer import final_answer
from services.scorer.comparison import TOO_MUCH, begin_child, compare
from services.scorer.harness import credit
from services.scorer.span import is_copied

logger = logging.getLogger(__name__)

TASKS_PER_CHILD = 2000
"""A child is replaced after this many, before caches and leaks grow."""

CHILDREN_PER_ANSWER = 2
"""How many children may die of an answer before it counts as too much."""

# With gmpy2, some inputs outlive every signal: keep sympy and mpmath on Python's integers.
_PURE_PYTHON = {"SYMPY_GROUND_TYPES": "python", "MPMATH_NOGMPY": "1"}


@dataclass(frozen=True, slots=True)
class _Work:
    """A comparison that is to be made, and where its verdict goes."""

    function: Callable[..., Verdict]
    arguments: tuple[Any, ...]
    children: int = CHILDREN_PER_ANSWER
    verdict: "Future[Verdict]" = field(default_factory=Future)


class VerifierPool:
    """Answers in, verdicts out, whatever the answers do to the processes that read them."""

    def __init__(self, rules: ScorerSection) -> None:
        os.environ.update(_PURE_PYTHON)
        self._rules = rules
        self._lock, self._closed = threading.Lock(), False
        self._pool, self._broken = self._new_pool(), list[ProcessPool]()

    def submit(self, completion: Completion, prompt: Prompt) -> "Future[Verdict]":
        """Begin to verify a completion of a prompt; the future holds a verdict, never an error."""
        if len(prompt.answer) > LONGEST:
            return known("error")  # as an unreadable one
        answer = final_answer(
            completion.text, completion.finish_reason == "stop",
            thought_open=prompt.thought_open, reference=prompt.answer,
        )  # fmt: skip
        if verdict := _at_a_glance(answer, prompt):
            return known(verdict)
        return self.begin(compare, answer, prompt.answer, self._rules.cpu_seconds)

    def submit_as_harness(self, completion: Completion, prompt: Prompt) -> "Future[Verdict]":
        """Begin to find out what the harness would say; only `correct` is credit."""
        return self.begin(credit, completion.text, prompt.answer, self._rules.cpu_seconds)

    def begin(self, function: Callable[..., Verdict], *arguments: Any) -> "Future[Verdict]":
        """Have a child call the function."""
        self._end_broken()
        work = _Work(function, arguments)
        self._schedule(work)
        return work.verdict

    def close(self) -> None:
        """End the children."""
        with self._lock:
            self._closed = True
            self._broken.append(self._pool)
        self._end_broken()

    def _schedule(self, work: _Work) -> None:
        """Give the work to a child (also called in threads of pebble's)."""
        with self._lock:
            if self._closed:
                return
            try:
                child = self._scheduled(work)
            except RuntimeError:  # of pebble's: a child that is killed while it waits breaks a pool
                logger.warning("a verifier was killed while it waited; all are started again")
                self._broken.append(self._pool)
                self._pool = self._new_pool()
                child = self._scheduled(work)
        child.add_done_callback(lambda done: self._pass_on(work, done))

    def _scheduled(self, work: _Work) -> "Future[Verdict]":
        deadline = self._rules.deadline_seconds
        child: Future[Verdict] = self._pool.schedule(
            work.function, args=work.arguments, timeout=deadline
        )
        return child

    def _pass_on(self, work: _Work, done: "Future[Verdict]") -> None:
        verdict, certain = _verdict_of(done)
        if certain or work.children == 1:
            work.verdict.set_result(verdict)
        else:
            self._schedule(replace(work, children=work.children - 1))

    def _end_broken(self) -> None:
        while self._broken:
            pool = self._broken.pop()
            pool.stop()
            pool.join()

    def _new_pool(self) -> ProcessPool:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["services.scorer.harness", "math_verify"])
        return ProcessPool(
            max_workers=self._rules.workers,
            max_tasks=TASKS_PER_CHILD,
            context=context,
            initializer=begin_child,
            initargs=(self._rules.memory_mib,),
        )


def _at_a_glance(answer: str | None, prompt: Prompt) -> Verdict | None:
    """The verdict that needs no mathematics, if there is one."""
    if answer is None:
        return "no_answer"
    if answer == prompt.answer.strip():
        return "correct"
    return "incorrect" if is_copied(answer, prompt.problem, prompt.answer) else None


def _verdict_of(done: "Future[Verdict]") -> tuple[Verdict, bool]:
    """The verdict that a child's answer or end stands for, and whether that is certain."""
    try:
        return done.result(), True
    except (FutureTimeoutError, ProcessExpired) as end:
        metrics.VERIFIERS_KILLED.inc()
        return _of_the_dead(end)
    except TOO_MUCH:  # so late that the child could not make a verdict of it
        return "timeout", True
    except Exception as error:  # noqa: BLE001  pebble passes on whatever there was
        logger.warning("a verifier failed: %s", type(error).__name__)
        return "error", False


def _of_the_dead(end: FutureTimeoutError | ProcessExpired) -> tuple[Verdict, bool]:
    if isinstance(end, FutureTimeoutError):
        logger.warning("a verifier was killed at scorer.deadline_seconds: the machine is too slow")
        return "error", True
    logger.info("a verifier died: exit code %s", end.exitcode)
    return "timeout", end.exitcode == -signal.SIGXCPU


def known(verdict: Verdict) -> "Future[Verdict]":
    """A verdict that needs no verifier."""
    future: Future[Verdict] = Future()
    future.set_result(verdict)
    return future
