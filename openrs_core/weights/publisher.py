"""The learner's end of the weight channel: policies out, beside the next step's work.

A thread of its own keeps a copy of the newest published policy. It applies each change to the
copy, packs it, sends it and commits; between versions it answers samplers that want a snapshot.
`publish` returns at once, unless the version before is still on its way: then it waits.

A Redis that is full is tried again until it has room. One that has lost the newest manifest, or
everything, is given the newest policy whole.
"""

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import redis

from openrs_core import metrics
from openrs_core.background import Background
from openrs_core.errors import FullError, StoppedError
from openrs_core.ledger import Policy
from openrs_core.weights.change import Change
from openrs_core.weights.delta import encode
from openrs_core.weights.snapshot import Snapshot
from openrs_core.weights.store import Payload, Store, is_heavy
from openrs_core.wire.messages import WeightsManifest

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""How often an idle publisher looks whether a snapshot is wanted, and whether Redis remembers; and
how long it waits before it tries a full Redis again."""


@dataclass(frozen=True, slots=True)
class _Job:
    policy: Policy
    change: Change
    begun: float


class Publisher:
    """Begin once, publish every version, close."""

    def __init__(self, client: redis.Redis, run: str, snapshot_every: int) -> None:
        self._client, self._run, self._every = client, run, snapshot_every
        self._background = Background("publisher")
        self._job: _Job | None = None
        self._finished: deque[WeightsManifest] = deque()
        self.is_full = False
        """Does it wait for memory in Redis?"""

    # --- the learner's thread ----------------------------------------------------------------

    def begin(self, policy: Policy, snapshot: Snapshot) -> None:
        """Name the policy this life of the learner begins with; the snapshot is ours from now on.

        Raises:
            redis.RedisError: the connection was lost.
        """
        self._store = Store(self._client, self._run, policy.incarnation, self._every)
        self._snapshot, self._digest = snapshot, snapshot.digest()
        self._store.remove_foreign()
        self._commit(Payload(form="named", policy=policy, **self._facts(time.monotonic())))
        self._background.start(self._work)

    def publish(self, policy: Policy, change: Change) -> None:
        """Hand over what makes `policy` of the one before; waits while that is on its way.

        Raises:
            redis.RedisError: an earlier version could not be published.
        """
        begun = time.monotonic()
        self.drain()
        with self._background.turn:
            self._job = _Job(policy, change, begun)
        self._background.notify()

    @property
    def published(self) -> Policy:
        """The newest policy that samplers can see.

        Raises:
            redis.RedisError: the next one could not be published.
        """
        self._background.check()
        return self._published

    @property
    def snapshot(self) -> Snapshot:
        """The values of the newest published policy, when all is drained; not to be changed, and
        different after the next `publish`."""
        return self._snapshot

    def drain(self, seconds: float | None = None) -> bool:
        """Wait until what was handed over is published, so many seconds at most; is it?

        Raises:
            redis.RedisError: it could not be.
        """
        self._background.wait_for(lambda: self._job is None, seconds)
        return self._job is None

    @property
    def has_ended(self) -> bool:
        """Is nothing published any more? So it is when we are to stop and Redis is away."""
        return self._background.has_ended

    def finished(self) -> list[WeightsManifest]:
        """What was published since the last call."""
        return [self._finished.popleft() for _ in range(len(self._finished))]

    def close(self) -> None:
        """Publish what was handed over and end the thread; a failure is not raised again."""
        self._background.close()

    # --- the publishing thread ---------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (job := self._next()) or not self._background.closing:
                if job:
                    self._publish(job)
                elif self._store.is_wanted() or self._is_forgotten():
                    self._send_snapshot()
        except StoppedError as error:  # the next life names what its checkpoint holds
            logger.info("%s", error)

    def _is_forgotten(self) -> bool:
        if self._store.is_visible:
            return False
        logger.warning("Redis has lost the newest weights: they are sent again, whole")
        return True

    def _next(self) -> _Job | None:
        with self._background.turn:
            self._background.turn.wait_for(
                lambda: self._job or self._background.closing, LOOK_SECONDS
            )
            return self._job

    def _publish(self, job: _Job) -> None:
        self._store.remove_superseded()
        with metrics.PUBLISH_SECONDS.labels("encode").time():
            self._snapshot.apply(job.change)
            base, self._digest = self._digest, self._snapshot.digest()
            head, body = encode(job.change, self._snapshot.layout)
        delta = Payload(
            form="delta", policy=job.policy, base=base, head=head, body=body,
            values=job.change.values, **self._facts(job.begun),
        )  # fmt: skip
        if is_heavy(len(body), delta.whole_size):
            self._commit(self._whole(job.policy, job.begun))
        else:
            self._commit(delta)
            if self._store.snapshot_due or self._store.is_wanted():
                self._send_snapshot()
        self._job = None
        self._background.notify()

    def _send_snapshot(self) -> None:
        """The newest policy once more, whole, for those who join."""
        self._store.remove_superseded()
        self._commit(self._whole(self._published, time.monotonic()))

    def _whole(self, policy: Policy, begun: float) -> Payload:
        layout = self._snapshot.layout
        return Payload(
            form="snapshot", policy=policy, head=layout.packed, body=self._snapshot.bytes,
            values=sum(layout.lengths.values()), **self._facts(begun),
        )  # fmt: skip

    def _facts(self, begun: float) -> dict[str, Any]:
        return {"digest": self._digest, "whole_size": self._snapshot.layout.nbytes, "begun": begun}

    def _commit(self, payload: Payload) -> None:
        part = "snapshot" if payload.form == "snapshot" else "send"
        with metrics.PUBLISH_SECONDS.labels(part).time():
            self._finished.append(self._put(payload))
        if payload.form == "snapshot":
            self._store.forget_wish()
        metrics.PUBLISHED_VERSION.set(payload.policy.version)
        self._published = payload.policy
        self._background.notify()

    def _put(self, payload: Payload) -> WeightsManifest:
        while True:
            try:
                manifest = self._store.put(payload)
            except FullError:
                if not self.is_full:
                    logger.warning("Redis is full: version %d waits", payload.policy.version)
                self.is_full = True
                self._background.pause(LOOK_SECONDS)
                if self._background.closing:
                    raise
            else:
                self.is_full = False
                return manifest
