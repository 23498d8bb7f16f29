"""One learner at a time: the lease of a run.

Whoever holds it also keeps the run's recipe in Redis, in case Redis forgets it. What a learner that
lost its lease still writes is stopped by the fence (see `fence`).
"""

import logging
import os
import socket
import threading
import uuid
from contextlib import suppress

import redis

from openrs_core.background import Background
from openrs_core.errors import FencedError, RunError, StoppedError
from openrs_core.recipe.ring import RingRecipe
from openrs_core.ring.agreement import agree
from openrs_core.ring.connection import when_there_is_room
from openrs_core.ring.keys import Keys

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
"""How long a learner that fell silent keeps its place."""

RENEWALS = 4
"""Per lease."""

_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1 end
if holder then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"


class Lease:
    """The place of a run's one learner: `take` it, `confirm` it before writing, `close` it."""

    def __init__(
        self, client: redis.Redis, run: str, recipe: RingRecipe, seconds: float = LEASE_SECONDS
    ) -> None:
        self._client, self._run, self._recipe = client, run, recipe
        self._key = Keys(run).learner
        self._seconds, self._milliseconds = seconds, int(seconds * 1000)
        self._holder = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
        self._renew = client.register_script(_RENEW)
        self._background = Background("lease")

    def take(self, stop: threading.Event) -> None:
        """Become the run's learner; waits for the lease of one that may have died to run out.

        Raises:
            RunError: another learner is alive.
            StoppedError: told to stop while waiting.
        """
        left = self._seconds_left()
        while not when_there_is_room(self._is_ours, stop):
            before, left = left, self._seconds_left()
            if left > before > 0:  # renewed while we looked
                raise RunError(self._taken())
            if stop.wait(self._seconds / RENEWALS / 10):
                raise StoppedError("stopped while waiting to become the run's learner")
        self._background.start(self._keep)

    def check(self) -> None:
        """Raise FencedError when another learner has taken over, RunError for another recipe."""
        self._background.check()

    def confirm(self) -> None:
        """Ask Redis, and raise FencedError when another learner has taken over.

        Told to stop while Redis is away, it finds nothing: nobody can take our place meanwhile.
        """
        self.check()
        with suppress(StoppedError):
            holder = self._client.get(self._key)
            if holder and holder != self._holder.encode():
                raise FencedError(f"run {self._run!r}: another learner has taken over")

    def close(self) -> None:
        """Leave the place to the next."""
        self._background.close()
        self._client.eval(_RELEASE, 1, self._key, self._holder)

    def _is_ours(self) -> bool:
        if self._client.set(self._key, self._holder, nx=True, px=self._milliseconds):
            return True
        return bool(self._client.get(self._key) == self._holder.encode())

    def _seconds_left(self) -> float:
        return max(0, int(self._client.pttl(self._key))) / 1000

    def _taken(self) -> str:
        host, pid, _ = (self._client.get(self._key) or b"? ? ?").decode().split(" ")
        return (
            f"run {self._run!r} already has a learner (process {pid} on {host}); a run has one: "
            "stop that one first, or choose another --run"
        )

    def _keep(self) -> None:
        while not self._background.closing:
            try:
                kept = self._renew(keys=[self._key], args=[self._holder, self._milliseconds])
                agree(self._client, self._run, self._recipe)
            except StoppedError:  # Redis is away; nobody can take our place meanwhile
                return
            except redis.OutOfMemoryError:
                kept = True  # a full Redis lets nobody else in
            if not kept:
                raise FencedError(f"run {self._run!r}: another learner has taken over")
            self._background.pause(self._seconds / RENEWALS)


def forget_dead(client: redis.Redis, run: str, pid: int) -> None:
    """Drop the lease of a learner process of this machine that is known to be dead."""
    holder = (client.get(Keys(run).learner) or b"").decode()
    if holder.startswith(f"{socket.gethostname()} {pid} "):
        client.eval(_RELEASE, 1, Keys(run).learner, holder)
