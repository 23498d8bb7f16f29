"""What of a run's weights is in Redis: written chunks first, manifest last; removed in time.

At most two snapshots are there: the newest, and until the next version the one before it, which
somebody may be in the middle of. Deltas are kept back to the snapshot before the newest. Their
weight is bounded (DELTA_SHARE), so all of it together is at most three times the policy.
"""

import time
from dataclasses import dataclass

import redis

from openrs_core import metrics
from openrs_core.errors import FullError
from openrs_core.ledger import Policy
from openrs_core.ring.fence import FENCE, refuse_fenced
from openrs_core.ring.keys import Keys
from openrs_core.weights import chunks
from openrs_core.wire.codec import encode
from openrs_core.wire.messages import Form, WeightsManifest

KEPT_MANIFESTS = 256
"""Length of the manifest stream: what a late sampler needs, and what a person looks back at."""

DELTA_SHARE = 0.25
"""A delta heavier than this share of the policy is sent as a snapshot, which also serves those who
join; and a snapshot is due when the deltas since the last one weigh as much."""

# KEYS: incarnation, manifests.  ARGV: incarnation, most manifests, manifest.
_COMMIT = f"""{FENCE}
return redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[2], '*', 'body', ARGV[3])
"""


def is_heavy(size: int, whole_size: int) -> bool:
    """Are deltas of this size better replaced by a snapshot?"""
    return size > DELTA_SHARE * whole_size


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """What is to be published."""

    form: Form
    policy: Policy
    digest: str
    base: str = ""
    head: bytes = b""
    body: bytes | memoryview = b""
    whole_size: int
    values: int = 0
    begun: float
    """`time.monotonic()` at its beginning."""


class Store:
    """The weights of one life of the learner, in Redis."""

    def __init__(self, client: redis.Redis, run: str, incarnation: int, every: int) -> None:
        self._client, self._run, self._keys = client, run, Keys(run)
        self._incarnation, self._every = incarnation, every
        self._commit = client.register_script(_COMMIT)
        self._newest: bytes | None = None
        self._held: dict[int, WeightsManifest] = {}
        self._next, self._snapshots = 1, [0, 0]

    def put(self, payload: Payload) -> WeightsManifest:
        """Make a payload visible; returns when it is.

        Raises:
            FullError: Redis has no memory left; nothing became visible.
            FencedError: another learner has taken over; nothing became visible.
        """
        try:
            manifest = self._manifest(payload, self._next, self._send(payload))
            keys = [self._keys.incarnation, self._keys.manifests]
            args = [self._incarnation, KEPT_MANIFESTS, encode(manifest)]
            answer = self._commit(keys=keys, args=args)
        except redis.OutOfMemoryError as error:
            self._client.delete(self._keys.chunks(self._incarnation, self._next))
            raise FullError(str(error)) from error
        refuse_fenced(answer, self._run, self._incarnation)
        self._newest = answer
        self._account(manifest)
        return manifest

    @property
    def is_visible(self) -> bool:
        """Is the newest manifest still there? Not when Redis has lost what it was told last."""
        if self._newest is None:
            return True
        return bool(self._client.xrange(self._keys.manifests, self._newest, self._newest))

    def _send(self, payload: Payload) -> tuple[str, ...]:
        if payload.form == "named":
            return ()
        key = self._keys.chunks(self._incarnation, self._next)
        return chunks.send(self._client, key, memoryview(payload.body))

    @property
    def snapshot_due(self) -> bool:
        """Are there many or heavy deltas since the last snapshot?"""
        since = [m for number, m in self._held.items() if number > self._snapshots[-1]]
        if not since:
            return False
        heavy = is_heavy(sum(m.size for m in since), since[-1].whole_size)
        return len(since) >= self._every or heavy

    def is_wanted(self) -> bool:
        """Has a sampler asked for a snapshot?"""
        return bool(self._client.exists(self._keys.wanted))

    def forget_wish(self) -> None:
        """The snapshot that was asked for is visible now."""
        self._client.delete(self._keys.wanted)

    def remove_superseded(self) -> None:
        """Remove what no route needs any more."""
        before, newest = self._snapshots
        for number, manifest in list(self._held.items()):
            if number < (before if manifest.form == "delta" else newest):
                self._client.unlink(self._keys.chunks(self._incarnation, number))
                del self._held[number]
        self._observe()

    def remove_foreign(self) -> None:
        """Remove the chunks that earlier lives of the learner left behind."""
        for key in self._client.scan_iter(match=f"{self._keys.manifests}:*", count=1000):
            self._client.unlink(key)

    def _manifest(
        self, payload: Payload, number: int, checksums: tuple[str, ...]
    ) -> WeightsManifest:
        return WeightsManifest(
            incarnation=payload.policy.incarnation, version=payload.policy.version,
            form=payload.form, digest=payload.digest, base=payload.base, payload=number,
            oldest_payload=min(self._held, default=number), head=payload.head,
            size=len(payload.body), checksums=checksums, whole_size=payload.whole_size,
            values=payload.values, published_at=time.time(),
            seconds=time.monotonic() - payload.begun,
        )  # fmt: skip

    def _account(self, manifest: WeightsManifest) -> None:
        if manifest.form == "named":
            return
        self._next += 1
        self._held[manifest.payload] = manifest
        if manifest.form == "snapshot":
            self._snapshots = [self._snapshots[-1], manifest.payload]
        metrics.PUBLISHED_BYTES.labels(manifest.form).inc(manifest.size)
        metrics.WEIGHTS_RATIO.labels(manifest.form).set(manifest.size / manifest.whole_size)
        self._observe()

    def _observe(self) -> None:
        metrics.WEIGHTS_HELD.set(sum(manifest.size for manifest in self._held.values()))
