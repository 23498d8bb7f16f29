"""Rewards that a user may write, by mistake or not; the completion's text says which is meant."""

import os
import signal
import sys
import time


def by_text(problem: str, completion: str, verdict: str) -> object:
    """What the text says; the length of any other text, as a share of the problem's."""
    return BEHAVIOURS.get(completion, lambda: len(completion) / len(problem))()


def forever() -> object:
    """Never return."""
    while True:
        time.sleep(60)


def deaf() -> object:
    """Never return, and hear no SIGTERM either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return forever()


def everything() -> object:
    """All the memory there is, and keep it."""
    global kept
    kept = []
    while True:
        kept.append(bytearray(1 << 24))


def talkative() -> object:
    """A gigabyte on both streams, and a reward after all."""
    megabyte = "x" * (1 << 20)
    for _ in range(512):
        sys.stdout.write(megabyte)
        os.write(2, megabyte.encode())
    return 1


def unsayable() -> object:
    """An exception that cannot be printed."""

    class UnsayableError(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    raise UnsayableError


def undefined() -> object:
    """An error of the usual kind."""
    return nothing  # noqa: F821


BEHAVIOURS = {
    "hang": forever,
    "hang, deaf": deaf,
    "memory": everything,
    "print": talkative,
    "raise": undefined,
    "raise what cannot be said": unsayable,
    "exit": lambda: sys.exit(0),
    "exit at once": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "nothing": lambda: None,
    "text": lambda: "0.5",
    "not a number": lambda: float("nan"),
    "infinite": lambda: float("-inf"),
    "too much": lambda: 20.5,
    "much too much": lambda: 10**400,
    "a gigabyte": lambda: "x" * (1 << 28),
}
