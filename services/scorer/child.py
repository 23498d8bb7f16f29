"""How a child process of the scorer begins: less memory than it may want, and no later end."""

import logging
import multiprocessing
import os
import resource
import signal
from multiprocessing import forkserver

from openrs_core.lifecycle import die_with_parent


def begin_child(memory_mib: int) -> None:
    """Limits and signals of a child that a fork server started."""
    limit = memory_mib << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_scorer()
    logging.disable(logging.CRITICAL)  # printing a hostile expression can itself hang


def _end_with_scorer() -> None:
    """However the scorer ends, even in the middle of an endless calculation.

    The fork server ends when nobody holds its pipe any longer, and Linux ends its children then.
    """
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    die_with_parent()
    scorer = multiprocessing.parent_process()
    if scorer is not None and not scorer.is_alive():
        os._exit(1)  # it was too late to ask
