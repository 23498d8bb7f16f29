"""Which processes there are, as tests ask: of a session, of a parent, or with a text in sight."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil


def living(where: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The processes for which the condition holds."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it ended while we looked
            if process.status() != psutil.STATUS_ZOMBIE and where(process):
                found.append(process)
    return found


def of_session(leader: int) -> list[psutil.Process]:
    """Those of a session."""
    return living(lambda process: os.getsid(process.pid) == leader)


def children_of(parent: int) -> list[psutil.Process]:
    """Those with this parent."""
    return living(lambda process: process.ppid() == parent)


def showing(text: str | Path) -> list[psutil.Process]:
    """Those, but for this one, on whose command line a text can be read."""
    return living(
        lambda process: process.pid != os.getpid() and str(text) in " ".join(process.cmdline())
    )


def playing(role: str, ring: int) -> psutil.Process | None:
    """The process that plays a role in the ring of this `openrs up`."""
    found = [child for child in children_of(ring) if _plays(child, role)]
    return found[0] if found else None


def _plays(process: psutil.Process, role: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:  # it ended while we looked
        return False
    if role == "redis":  # it writes its address over its arguments
        return any(name in "".join(words[:1]) for name in ("redis-server", "valkey-server"))
    return "services.cli" in words and role in words
