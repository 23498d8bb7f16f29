"""The warm start's progress bar; plain lines where there is no terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from services.toy.warm_start import Progress as Report

LINE_EVERY_SECONDS = 10.0


@contextmanager
def shown() -> Iterator[Report]:
    """A function that shows how far the warm start is."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
            yield _Bar(bar)
    else:
        yield _Lines()


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar, self._name, self._done = bar, "", 0
        self._task: TaskID | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        if name != self._name:
            if self._task is not None:  # a phase may end before its planned last step
                self._bar.update(self._task, total=self._done)
            self._name, self._task = name, self._bar.add_task(f"warm start: {name}", total=total)
        self._done = done
        assert self._task is not None
        self._bar.update(self._task, completed=done)


class _Lines:
    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + LINE_EVERY_SECONDS
            sys.stderr.write(f"warm start: {name}, step {done} of at most {total}\n")
