"""A thread beside a process's loop; whatever ends it is raised again in the loop."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background:
    """One thread, and the condition under which it and the loop share their state."""

    def __init__(self, name: str) -> None:
        self.turn = threading.Condition()
        self.closing = False
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._work: Future[None] | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begin; `work` returns soon after `closing` is set."""
        self._work = self._executor.submit(work)
        self._work.add_done_callback(lambda _: self.notify())

    def notify(self) -> None:
        """Wake whoever waits for a condition."""
        with self.turn:
            self.turn.notify_all()

    def wait_for(self, condition: Callable[[], object], seconds: float | None = None) -> None:
        """Wait until the condition holds, so many seconds at most.

        Raises:
            redis.RedisError: the thread lost its connection; or whatever else ended it.
        """
        with self.turn:
            self.turn.wait_for(lambda: condition() or self.has_ended, seconds)
        self.check()

    def pause(self, seconds: float) -> None:
        """In the thread: do nothing for so long, or until it is to end."""
        with self.turn:
            self.turn.wait_for(lambda: self.closing, seconds)

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._work is not None and self.has_ended:
            self._work.result()

    def close(self) -> None:
        """End the thread; a failure is not raised again."""
        with self.turn:
            self.closing = True
            self.turn.notify_all()
        self._executor.shutdown()

    @property
    def has_ended(self) -> bool:
        """Has the thread ended, by itself or with an error?"""
        return self._work is not None and self._work.done()
