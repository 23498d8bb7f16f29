"""How a process of the ring begins and ends.

    with running("sampler", settings) as stop:
        ...                                         # load what takes long
        stop.ready()
        while not stop.is_set(): ...

The first SIGTERM or SIGINT sets `stop`: the loop ends after its current turn; a process that is
still loading ends there and then. The second ends it at once, with exit code 130. An error that the
user can mend (a UserError, a Redis that refuses the process, a full disk) leaves one line and exit
code 2. A Redis that is already full at the start, and a rank of the learner that does not come,
leave one line and exit code 1.
"""

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import redis

from openrs_core import log, metrics
from openrs_core.errors import (
    FullError,
    RanksError,
    RunError,
    StoppedError,
    UserError,
    is_disk_full,
)
from openrs_core.memory import heap, keep_freed_memory
from openrs_core.ring.address import refusal

EXIT_USER = 2
EXIT_FAULT = 1
EXIT_FORCED = 130

_PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where a process runs; nothing that changes what the run does."""

    redis_url: str = field(repr=False)
    """May hold a password."""
    run: str
    name: str
    """Of this process within the run; its work is found again under it."""
    metrics_port: int | None = None
    """None: metrics are not served; 0: on a free port."""
    metrics_address: str = "127.0.0.1"
    log_format: log.Format = "plain"


class Stop(threading.Event):
    """Set when the process is asked to stop."""

    looping = False
    """Is there a loop that will notice?"""

    def ready(self) -> None:
        """Loading is over, the loop begins."""
        logger.info("ready after %.1f s", _age_seconds())
        self.looping = True
        gc.freeze()
        gc.enable()


@contextmanager
def running(role: str, settings: Settings) -> Iterator[Stop]:
    """Logging, memory, metrics, signals of one process; turns expected errors into exit codes.

    Until it is ready Python looks for no garbage: what libraries make when they are imported is
    there to stay, and to look through it again and again took a quarter of the time.
    """
    log.configure(role, settings.log_format)
    keep_freed_memory()
    gc.disable()
    stop = Stop()
    _listen(stop)
    try:
        _serve_metrics(settings)
        yield stop
    except StoppedError as error:
        logger.info("%s", error)
    except Exception as error:
        line, code = _explained(role, error)
        if not line:
            raise
        sys.stderr.write(f"{line}\n")
        sys.exit(code)
    finally:
        gc.enable()
    logger.info("stopped" if stop.is_set() else "finished")


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _age_seconds() -> float:
    """Since this process was started, imports and all."""
    ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _explained(role: str, error: Exception) -> tuple[str, int]:
    """One line for an error that is no fault of ours, and the exit code; else an empty one."""
    code, line = EXIT_USER, ""
    if isinstance(error, UserError):
        line = str(error)
    elif isinstance(error, FullError | redis.OutOfMemoryError):
        code, line = EXIT_FAULT, f"{role}: Redis is full, raise its maxmemory: {error}"
    elif isinstance(error, RanksError):
        code, line = EXIT_FAULT, f"{role}: {error}"
    elif reason := refusal(error):
        line = f"{role}: Redis: {reason}"
    elif isinstance(error, OSError) and is_disk_full(error):
        where = f" (writing {error.filename})" if error.filename else ""
        line = (
            f"{role}: the disk is full{where}; make room, then start it again (openrs up: "
            "--resume); it goes on from the newest checkpoint"
        )
    return line, code


def _listen(stop: Stop) -> None:
    told = threading.Event()  # beside `stop`, which another rank of the learner may set

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if told.is_set():
            os._exit(EXIT_FORCED)
        told.set()
        logger.info("%s: stopping", signal.Signals(number).name)
        stop.set()
        if not stop.looping:
            sys.exit(0)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)


def _serve_metrics(settings: Settings) -> None:
    if settings.metrics_port is None:
        return
    metrics.HEAP.labels("used").set_function(lambda: heap().used)
    metrics.HEAP.labels("kept").set_function(lambda: heap().kept)
    try:
        port = metrics.serve(settings.metrics_port, settings.metrics_address)
    except OSError as error:
        raise RunError(
            f"--metrics-port {settings.metrics_port}: {error.strerror}; choose another, or 0"
        ) from error
    logger.info("metrics on http://%s:%d/metrics", settings.metrics_address, port)
