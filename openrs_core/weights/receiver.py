"""A sampler's end of the weight channel: policies in, beside the sampling.

A thread of its own keeps a copy of the newest policy it could fetch, beside the one the engine
samples with. It fetches, checks and unpacks each payload, applies it to the copy, compares the
digest, and only then offers it; the sampler's loop takes what is offered between two steps of the
engine. What does not match is refused: the copy is put back as it was, the engine goes on with the
weights in force, and a snapshot is asked for.
"""

import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from openrs_core import metrics
from openrs_core.background import Background
from openrs_core.errors import DecodeError, SupersededError, WeightsError
from openrs_core.ledger import Policy
from openrs_core.ring.connection import outages
from openrs_core.ring.keys import Keys
from openrs_core.weights import chunks
from openrs_core.weights.change import Change
from openrs_core.weights.delta import decode as decode_delta
from openrs_core.weights.layout import Layout
from openrs_core.weights.route import find_route, policy_of
from openrs_core.weights.snapshot import Snapshot
from openrs_core.weights.store import KEPT_MANIFESTS
from openrs_core.wire.codec import decode, encode
from openrs_core.wire.messages import Form, WeightsManifest, WeightsTaken

logger = logging.getLogger(__name__)

BLOCK_SECONDS = 0.5
"""Longest wait for a manifest: how late the thread may notice that it should end."""

ASK_SECONDS = 2.0
"""How long to wait before a snapshot is asked for again."""

WISH_SECONDS = 60
"""A wish for a snapshot is forgotten after this long: who asked may be gone."""

KEPT_NOTES = 1000
"""Length of the stream of what samplers put in force."""


@dataclass(frozen=True, slots=True)
class Update:
    """A checked policy, ready to be put in force."""

    policy: Policy
    digest: str
    layout: Layout
    change: Change
    """From the update before; empty when only the name is new."""
    form: Form
    size: int
    """Bytes fetched."""
    published_at: float
    fetch_seconds: float


class Receiver:
    """Made with the weights the engine has at its start; `start`, `take`, `close`."""

    def __init__(self, client: redis.Redis, run: str, sampler: str, base: Snapshot) -> None:
        """The snapshot becomes the receiver's own, which changes it."""
        self._client, self._keys, self._sampler = client, Keys(run), sampler
        self._copy, self._digest = base, base.digest()
        self._reached: Policy | None = None
        self._manifests: deque[WeightsManifest] = deque(maxlen=KEPT_MANIFESTS)
        self._read, self._ask_at, self._outages = b"0-0", 0.0, 0
        self._refused: set[tuple[int, int]] = set()
        self._offered: deque[Update] = deque()
        self._background = Background("receiver")
        self.in_force: Policy | None = None
        """The policy last put in force by the loop."""

    def start(self) -> None:
        """Begin to look for policies."""
        self._background.start(self._work)

    # --- the sampler's thread ----------------------------------------------------------------

    def take(self, seconds: float = 0.0) -> list[Update]:
        """What is ready, oldest first; waits so long for the first.

        Raises:
            StoppedError: told to stop while Redis was away; or whatever else ended the thread.
        """
        self._background.wait_for(lambda: self._offered or self._background.closing, seconds)
        return [self._offered.popleft() for _ in range(len(self._offered))]

    def note(self, update: Update, apply_seconds: float) -> None:
        """Say that the loop has put an update in force."""
        self.in_force = update.policy
        taken = WeightsTaken(
            sampler=self._sampler, incarnation=update.policy.incarnation,
            version=update.policy.version, form=update.form, size=update.size,
            fetch_seconds=update.fetch_seconds, apply_seconds=apply_seconds,
            delay_seconds=time.time() - update.published_at,
        )  # fmt: skip
        with suppress(redis.OutOfMemoryError):  # a full Redis keeps no notes; sampling goes on
            self._client.xadd(self._keys.taken, {"body": encode(taken)}, maxlen=KEPT_NOTES)

    def close(self) -> None:
        """End the thread."""
        self._background.close()

    # --- the receiving thread ----------------------------------------------------------------

    def _work(self) -> None:
        while not self._background.closing:
            self.advance(BLOCK_SECONDS)

    def advance(self, block_seconds: float = 0.0) -> None:
        """One turn of the thread: look for manifests, go as far as a route leads."""
        self._look(block_seconds)
        route = find_route(self._manifests, self._digest, self._reached, self._refused)
        if route is None:
            self._ask()
        for manifest in route or []:
            try:
                self._go(manifest)
            except WeightsError as error:
                self._refuse(manifest, error)
                return

    def _look(self, block_seconds: float) -> None:
        if self._outages != outages(self._client):  # Redis may have begun anew: read all there is
            self._outages, self._read = outages(self._client), b"0-0"
            self._manifests.clear()
        block = int(block_seconds * 1000) or None
        answer = self._client.xread({self._keys.manifests: self._read}, block=block)
        for entry_id, fields in answer[0][1] if answer else []:
            self._read = entry_id
            try:
                self._manifests.append(decode(fields.get(b"body", b""), WeightsManifest))
            except DecodeError as error:
                metrics.WEIGHTS_REFUSED.inc()
                logger.warning("a manifest was refused: %s", error)

    def _go(self, manifest: WeightsManifest) -> None:
        """One step of a route: the copy becomes the manifest's policy, or stays as it is."""
        begun = time.monotonic()
        change = self._change(manifest)
        self._digest, self._reached = manifest.digest, policy_of(manifest)
        seconds = time.monotonic() - begun
        metrics.WEIGHTS_TAKEN.labels("fetch").observe(seconds)
        update = Update(
            self._reached, manifest.digest, self._copy.layout, change, manifest.form,
            manifest.size, manifest.published_at, seconds,
        )  # fmt: skip
        self._offered.append(update)
        self._background.notify()

    def _change(self, manifest: WeightsManifest) -> Change:
        if manifest.form == "delta":
            return self._delta(manifest)
        if manifest.form == "snapshot":
            return self._whole(manifest)
        return Change(())  # only the name is new

    def _delta(self, manifest: WeightsManifest) -> Change:
        change = decode_delta(manifest.head, memoryview(self._fetch(manifest)), self._copy.layout)
        undo = self._copy.before(change)
        self._copy.apply(change)
        if self._copy.digest() != manifest.digest:
            self._copy.apply(undo)
            raise WeightsError("what the delta leads to does not match its digest")
        return change

    def _whole(self, manifest: WeightsManifest) -> Change:
        fetched = Snapshot(Layout.unpack(manifest.head), self._fetch(manifest))
        if fetched.digest() != manifest.digest:
            raise WeightsError("the snapshot does not match its digest")
        self._copy = fetched.copy()  # the loop reads the fetched one while the copy moves on
        return fetched.whole()

    def _fetch(self, manifest: WeightsManifest) -> Any:
        key = self._keys.chunks(manifest.incarnation, manifest.payload)
        return chunks.fetch(self._client, key, manifest.checksums, manifest.size)

    def _refuse(self, manifest: WeightsManifest, error: WeightsError) -> None:
        self._refused.add((manifest.incarnation, manifest.payload))
        if isinstance(error, SupersededError):  # we were slow: there is a newer way
            return
        metrics.WEIGHTS_REFUSED.inc()
        logger.warning(
            "the %s of version %d was refused, the weights in force stay: %s",
            manifest.form, manifest.version, error,
        )  # fmt: skip

    def _ask(self) -> None:
        """Ask for a snapshot, now and then until there is a route."""
        if time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + ASK_SECONDS
        with suppress(redis.OutOfMemoryError):  # we ask again
            self._client.set(self._keys.wanted, self._sampler, ex=WISH_SECONDS)
        metrics.SNAPSHOTS_WANTED.inc()
        logger.info("asked for a snapshot of the weights: no delta leads on from those at hand")
