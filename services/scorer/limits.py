"""What a verifier may use: processor time, memory, and the life of its scorer.

Time is the processor's, not the clock's: a verdict must not depend on how busy the machine is.
"""

import math
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from types import FrameType

from openrs_core.lifecycle import die_with_parent

KILLED_AFTER_SECONDS = 2
"""Processor time beyond the limit after which the kernel ends a verifier that noticed nothing:
native code does not hear signals. The kernel counts whole seconds."""

AGAIN_SECONDS = 1.0
"""Processor time until the next exception, should the code have caught the one before."""


class SpentError(BaseException):
    """The processor time is used up; not an Exception, as sympy catches those."""


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """Give what runs inside so much processor time.

    Raises:
        SpentError: in what runs inside; where that does not return, the kernel ends the process by
            SIGXCPU.
    """
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    until = math.ceil(time.process_time() + seconds + KILLED_AFTER_SECONDS)
    if most == resource.RLIM_INFINITY or until < most:  # else the user's own limit comes first
        resource.setrlimit(resource.RLIMIT_CPU, (until, most))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_process(memory_mib: int) -> None:
    """Set the limits that hold for a process's life, and prepare those of each calculation."""
    limit = memory_mib << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _spent)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_scorer()


def _spent(_signal: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_PROF, AGAIN_SECONDS)
    raise SpentError


def _end_with_scorer() -> None:
    """However the scorer ends, even in the middle of an endless calculation.

    The fork server ends when nobody holds its pipe any longer, and Linux ends its children then.
    """
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    die_with_parent()
    scorer = multiprocessing.parent_process()
    if scorer is not None and not scorer.is_alive():
        os._exit(1)  # it was too late to ask
