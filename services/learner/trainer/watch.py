"""What ends one rank ends all of them, and is said.

    with one_fate():            # an error in here is said, and ends this process at once
        watch = begin(place(), store, stop.set)     # from now on it ends the other ranks too
        ...
        watch.leave()           # on every rank, at a clean end

Each rank keeps a TCP connection with rank 0. The kernel closes it when the process is gone, however
it died, and keeps it while the process is stopped, or busy for minutes: so no silence is measured,
and none is too long. Where a whole machine is gone nobody closes anything; its kernel leaves
keepalive probes unanswered, which is noticed after LOST_SECONDS.

A rank that ends says its exit code before, and the others end with the same. They do not unwind: a
thread that waits in a collective of NCCL cannot be woken, and to destroy a process group whose
peers are gone can hang. What a learner leaves behind is then what it leaves when it is killed.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import NoReturn, Protocol

from openrs_core.errors import RunError
from openrs_core.lifecycle import EXIT_FAULT, EXIT_FORCED

PROBE_SECONDS = 5
"""Between two keepalive probes."""

LOST_SECONDS = 3 * PROBE_SECONDS
"""A machine that has answered no probe for so long is taken for lost. A network that fails for
longer ends the learner too; it goes on from its newest checkpoint."""

SETTLING_SECONDS = 0.5
"""An error may be but the consequence of another rank's end: that is noticed within this time, and
said instead."""

LEAVE_SECONDS = 10.0
"""From rank 0's clean end to that of another rank."""

STOP, DONE = b"stop", b"done"
"""Said to rank 0: I was told to stop, so stop us all. Said by each: I need nobody any more. Else an
exit code is said, in one byte."""

LONGEST = 8
"""Bytes of what is said."""

logger = logging.getLogger(__name__)


class Store(Protocol):
    """What torch.distributed's stores have."""

    def set(self, key: str, value: str) -> None:
        """Say something to all ranks."""

    def get(self, key: str) -> bytes:
        """Read it; waits until it is said."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of this process among the ranks, as the launcher sets it."""

    rank: int
    size: int

    def __str__(self) -> str:
        """As messages name it."""
        return f"rank {self.rank} of {self.size}"


def place() -> Place:
    """From `RANK` and `WORLD_SIZE`; without them it is the only one.

    Raises:
        RunError: they are no numbers, or do not go together.
    """
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise RunError(
            f"RANK={rank}, WORLD_SIZE={size}: a launcher sets them, to a rank from 0 and the "
            "number of ranks; unset both for a learner of one rank"
        )
    return Place(int(rank), int(size))


class Watch:
    """Over the ranks this one is connected with: rank 0 with each, the others with rank 0."""

    def __init__(
        self, here: Place, peers: dict[int, Connection], on_stop: Callable[[], None]
    ) -> None:
        """`on_stop`: what rank 0 does when another was told to stop."""
        self._here, self._peers, self._on_stop = here, peers, on_stop
        self._left = threading.Event()
        for peer, connection in peers.items():
            _probe(connection)
            _background(self._listen, peer, connection)

    @property
    def has_left(self) -> bool:
        """Has this rank come to a clean end?"""
        return self._left.is_set()

    def leave(self) -> None:
        """A clean end: from now on the others may be gone."""
        self._left.set()
        self.say(DONE)

    def say(self, what: bytes) -> None:
        """Tell it to whom this rank is connected with, and is still there."""
        for connection in self._peers.values():
            with suppress(OSError):
                connection.send_bytes(what)

    def heed_signals(self) -> None:
        """SIGTERM and SIGINT ask rank 0 to stop all; a second one ends this rank at once.

        Called in the main thread of a rank that follows. Python would run a handler only when the
        main thread comes back from a collective; but the number is in the pipe at once.
        """
        self._signals, pipe = socket.socketpair()
        pipe.setblocking(False)
        signal.set_wakeup_fd(pipe.detach(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        _background(self._obey)

    def _obey(self) -> None:
        [number] = self._signals.recv(1)
        logger.info("%s: rank 0 is asked to stop all ranks", signal.Signals(number).name)
        self.say(STOP)
        self._signals.recv(1)
        end(EXIT_FORCED)

    def _listen(self, peer: int, connection: Connection) -> None:
        """Until the peer is gone."""
        while (said := _hear(connection)) == STOP:
            logger.info("rank %d was told to stop", peer)
            self._on_stop()
        if said == DONE:
            gone = not self._left.wait(LEAVE_SECONDS) and peer == 0
            said = b"" if gone else DONE
        if said != DONE and not self.has_left:
            self._follow(peer, said)

    def _follow(self, peer: int, said: bytes) -> NoReturn:
        """End as the peer did; nothing is said by one that was killed or lost."""
        code = said[0] if said else EXIT_FAULT
        how = f"has ended with exit code {code}" if said else "is gone, killed or lost"
        level = logging.ERROR if code else logging.INFO
        logger.log(level, "rank %d %s: so %s ends too", peer, how, self._here)
        self.say(bytes([code]))
        end(code)


_watch: Watch | None = None
"""Of this process, like its process group."""


def begin(here: Place, store: Store, on_stop: Callable[[], None]) -> Watch:
    """Connect the ranks; all must call it."""
    global _watch
    peers = _wait_for_all(here, store) if here.rank == 0 else {0: _go_to_first(here, store)}
    _watch = Watch(here, peers, on_stop)
    return _watch


def leave() -> None:
    """A clean end of this rank, if it is one of several."""
    if _watch:
        _watch.leave()


@contextmanager
def one_fate() -> Iterator[None]:
    """Around all that one of several ranks does: what ends it is said, and ends all at once."""
    here = place()
    try:
        yield
    except BaseException as error:
        if here.size == 1:
            raise
        _fail(here, error)
    if _watch and not _watch.has_left:
        give_up(f"{here} was told to stop before the work began", 0)


def give_up(why: str, code: int) -> NoReturn:
    """Say why, end the other ranks, and this one."""
    logger.log(logging.ERROR if code else logging.INFO, "%s", why)
    if _watch:
        _watch.say(bytes([code]))
    end(code)


def _fail(here: Place, error: BaseException) -> NoReturn:
    """Say the error, end the other ranks, and this one."""
    if isinstance(error, SystemExit):  # what there was to say has been said
        code = error.code if isinstance(error.code, int) else EXIT_FAULT if error.code else 0
    else:
        code = EXIT_FAULT
        time.sleep(SETTLING_SECONDS)
        logger.error("%s has failed:", here)
        sys.excepthook(type(error), error, error.__traceback__)
    give_up(f"{here} ends all ranks with exit code {code}", code)


def end(code: int) -> NoReturn:
    """End this process now: nothing is unwound, no other thread is waited for."""
    logging.shutdown()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


# --- connections -------------------------------------------------------------------------------


def _wait_for_all(here: Place, store: Store) -> dict[int, Connection]:
    """Rank 0 opens a port and says in the store where it is; who knows the key there is a rank."""
    host, key = ("127.0.0.1" if _is_one_machine(here) else ""), secrets.token_hex(16)
    peers: dict[int, Connection] = {}
    with Listener((host, 0), authkey=key.encode(), backlog=here.size) as listener:
        store.set("watch", f"{host or os.environ['MASTER_ADDR']} {listener.address[1]} {key}")
        while len(peers) < here.size - 1:
            with suppress(AuthenticationError, EOFError, OSError):  # a stranger
                connection = listener.accept()
                peers[int(connection.recv_bytes(LONGEST))] = connection
    return peers


def _go_to_first(here: Place, store: Store) -> Connection:
    host, port, key = store.get("watch").decode().split(" ")
    connection = Client((host, int(port)), authkey=key.encode())
    connection.send_bytes(str(here.rank).encode())
    return connection


def _is_one_machine(here: Place) -> bool:
    """torchrun says how many of the ranks are on this machine."""
    return os.environ.get("LOCAL_WORLD_SIZE") == str(here.size)


def _hear(connection: Connection) -> bytes:
    """What a peer says; nothing when it is gone."""
    try:
        return connection.recv_bytes(LONGEST)
    except (EOFError, OSError):
        return b""


def _probe(connection: Connection) -> None:
    """Have the kernel look whether the other machine is there."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_SECONDS)
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
        probes = LOST_SECONDS // PROBE_SECONDS - 1
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)


def _background(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()
