"""Rewards of the user's own: (problem, completion, verdict) -> number, in child processes.

    [scorer.weights]
    "my_rewards:brevity" = 0.2

A child has a deadline and a limit on memory, dies with its scorer, and what it prints goes nowhere.
Whatever the function does, it costs the verdict of one completion, which becomes `error`.
"""

import contextlib
import errno
import importlib
import logging
import multiprocessing
import numbers
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cache
from pathlib import Path

from pebble import ProcessExpired, ProcessPool

from openrs_core.errors import RecipeError
from openrs_core.recipe.scorer import MOST_OWN, OwnSection, ScorerSection
from openrs_core.wire.messages import RolloutGroup, Verdict
from services.scorer.limits import limit_process

logger = logging.getLogger(__name__)

LOAD_SECONDS = 120.0
"""For importing a function and trying it once, when a run begins."""

LONGEST_FAULT = 300
"""Characters of what is said of a function that fails."""

TRIAL = ("What is 1 + 1?", "<think>\n1 + 1 = 2\n</think>\n\\boxed{2}", "correct")
"""What a function is tried with."""

Given = float | str
"""What a child says: a reward, or why there is none."""

Asked = Mapping[str, "Future[Given]"]
"""The rewards of one completion, by name."""


class OwnRewards:
    """Completions in, rewards of the user's own out."""

    def __init__(self, rules: ScorerSection, directory: Path) -> None:
        """`directory`: where modules are looked for beside the working directory."""
        self._names, self._seconds = rules.own_rewards, rules.own.deadline_seconds
        self._pool = _pool(rules.own, directory, self._names)
        self._said: set[tuple[str, str]] = set()

    def ask(self, group: RolloutGroup, verdicts: Sequence[Verdict]) -> list[Asked]:
        """Begin to compute the rewards of a group.

        Nothing is asked of an `error`, nor of an evaluation: that is verdicts alone, and a reward
        that fails must not take them away.
        """
        prompt = group.prompt
        return [
            self._ask(prompt.problem, completion.text, verdict)
            if prompt.purpose == "train" and verdict != "error"
            else {}
            for completion, verdict in zip(group.completions, verdicts, strict=True)
        ]

    def given(self, asked: Asked) -> dict[str, float] | None:
        """The rewards of a completion; None when one failed, which is logged once a kind."""
        found: dict[str, float] = {}
        for name, future in asked.items():
            value = outcome(future)
            if isinstance(value, str):
                self._say(name, value)
                return None
            found[name] = value
        return found

    def close(self) -> None:
        """End the children."""
        self._pool.stop()
        self._pool.join()

    def _ask(self, problem: str, text: str, verdict: Verdict) -> Asked:
        return {
            name: self._pool.schedule(
                compute, args=(name, problem, text, verdict), timeout=self._seconds
            )
            for name in self._names
        }

    def _say(self, name: str, fault: str) -> None:
        kind = (name, fault.partition(":")[0])
        if kind not in self._said:
            self._said.add(kind)
            logger.warning(
                "the reward %s %s; such completions are not trained on, and this is said once",
                name, fault,
            )  # fmt: skip


def refuse_unusable(rules: ScorerSection, directory: Path) -> None:
    """Import every reward of the user's own, and try it once, in a child process.

    Raises:
        RecipeError: one cannot be imported, or does not return a number.
    """
    if not rules.own_rewards:
        return
    pool = _pool(rules.own, directory, [])
    try:
        for name in rules.own_rewards:
            found = outcome(pool.schedule(compute, args=(name, *TRIAL), timeout=LOAD_SECONDS))
            if isinstance(found, str):
                raise RecipeError(
                    f"scorer.weights has {name!r}, but it {found}; modules are looked for in the "
                    f"working directory ({Path.cwd()}), in {directory} and among those installed"
                )
    finally:
        pool.stop()
        pool.join()


def outcome(future: "Future[Given]") -> Given:
    """What came of it: a reward, or what the function did instead."""
    try:
        return future.result()
    except FutureTimeoutError:
        return "did not return before its deadline"
    except ProcessExpired as error:
        no_memory = error.exitcode == errno.ENOMEM
        return "took more memory than it may" if no_memory else f"ended its process: {error}"
    except Exception as error:  # noqa: BLE001  what it raised or returned broke the way back
        return f"raised {type(error).__name__}"


def compute(name: str, problem: str, text: str, verdict: Verdict) -> Given:
    """One reward (in a child, which ends when it has run out of memory: some of it may be lost)."""
    try:
        return _number(_function(name)(problem, text, verdict))
    except MemoryError:
        os._exit(errno.ENOMEM)
    except BaseException as error:  # noqa: BLE001  it is the user's: it may raise anything at all
        return _cut(f"raised {type(error).__name__}: {error}")


def _number(value: object) -> Given:
    """The value as a float, if it is a number that may be a reward."""
    if isinstance(value, numbers.Real):
        number = float(value)
        if abs(number) <= MOST_OWN:  # NaN is not
            return number
    return _cut(f"returned no number within {MOST_OWN:g} either way: {value!r}")


def _cut(fault: str) -> str:
    return " ".join(fault[:LONGEST_FAULT].split())


@cache
def _function(name: str) -> Callable[[str, str, str], object]:
    module, _, function = name.partition(":")
    found: Callable[[str, str, str], object] = getattr(importlib.import_module(module), function)
    return found


def _pool(rules: OwnSection, directory: Path, names: Sequence[str]) -> ProcessPool:
    return ProcessPool(
        max_workers=rules.workers,
        context=multiprocessing.get_context("forkserver"),
        initializer=_begin,
        initargs=(rules.memory_mib, [str(Path.cwd()), str(directory.resolve())], names),
    )


def _begin(memory_mib: int, places: Sequence[str], names: Sequence[str]) -> None:
    limit_process(memory_mib)
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.path[:0] = places
    for name in names:  # pay for the import before the first deadline runs
        with contextlib.suppress(BaseException):
            _function(name)
