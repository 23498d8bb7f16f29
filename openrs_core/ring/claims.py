"""What one consumer owns of a run's streams: leases on entries, kept, found again, handed back.

Redis counts as ours whatever it handed to a consumer of our name. What we really have in hand can
be less: after a restart under the same name, or when an answer was lost with the connection.
"""

import time

import redis

from openrs_core import metrics
from openrs_core.ring.connection import outages
from openrs_core.ring.keys import GROUP, STAGES, Keys, Stage

Entry = tuple[bytes, dict[bytes, bytes]]

RENEWALS_PER_LEASE = 4
"""Leases are renewed this many times before they would run out."""

MOST_PENDING = 10_000
"""Entries of one consumer that are looked at together."""


class Claims:
    """One consumer's leases."""

    def __init__(
        self, client: redis.Redis, keys: Keys, consumer: str, redelivery_seconds: float
    ) -> None:
        self._client, self._keys, self._consumer = client, keys, consumer
        self._lease = redelivery_seconds
        self._next_claim = dict.fromkeys(STAGES, 0.0)
        self._next_renewal = dict.fromkeys(STAGES, 0.0)
        self._in_hand: dict[Stage, set[bytes]] = {stage: set() for stage in STAGES}
        self._unsure = set(STAGES)  # may there be entries of ours that are not in hand?
        self._outages = outages(client)

    def redelivered(self, stage: Stage, count: int) -> list[Entry]:
        """Entries that were delivered before: our own that are not in hand, then abandoned ones."""
        if self._outages != outages(self._client):
            self._outages, self._unsure = outages(self._client), set(STAGES)
        return self._own(stage, count) or self._abandoned(stage, count)

    def times(self, stage: Stage) -> dict[bytes, int]:
        """The entries Redis counts as ours, and how often each was delivered."""
        pending = self._client.xpending_range(
            self._keys.stage(stage), GROUP, min="-", max="+", count=MOST_PENDING,
            consumername=self._consumer,
        )  # fmt: skip
        return {entry["message_id"]: entry["times_delivered"] for entry in pending}

    def take(self, stage: Stage, entries: list[Entry]) -> None:
        """These are in hand now."""
        self._in_hand[stage].update(entry_id for entry_id, _ in entries)

    def settle(self, stage: Stage, ids: list[bytes]) -> None:
        """These are no longer ours."""
        self._in_hand[stage].difference_update(ids)

    def renew(self, stage: Stage) -> None:
        """Keep what is in hand; writes only once a quarter of the lease is over."""
        now = time.monotonic()
        if now >= self._next_renewal[stage]:
            self._next_renewal[stage] = now + self._lease / RENEWALS_PER_LEASE
            self._touch(stage, idle_seconds=0.0)

    def release(self, stage: Stage) -> None:
        """Hand back what is in hand, as if its lease had run out."""
        self._touch(stage, idle_seconds=2 * self._lease)
        self._in_hand[stage].clear()

    def _own(self, stage: Stage, count: int) -> list[Entry]:
        if stage not in self._unsure:
            return []
        missed = [entry for entry in self.times(stage) if entry not in self._in_hand[stage]]
        if len(missed) <= count:
            self._unsure.discard(stage)
        if not missed:
            return []
        claimed = self._client.xclaim(
            self._keys.stage(stage), GROUP, self._consumer, min_idle_time=0,
            message_ids=missed[:count],
        )  # fmt: skip
        return [(entry_id, fields) for entry_id, fields in claimed if fields]

    def _abandoned(self, stage: Stage, count: int) -> list[Entry]:
        now = time.monotonic()
        if now < self._next_claim[stage]:
            return []
        answer = self._client.xautoclaim(
            self._keys.stage(stage), GROUP, self._consumer,
            min_idle_time=int(self._lease * 1000), count=count,
        )  # fmt: skip
        found = [(entry_id, fields) for entry_id, fields in answer[1] if fields]
        if len(found) < count:  # all taken over: look again in a while
            self._next_claim[stage] = now + self._lease / RENEWALS_PER_LEASE
        # we may have stood still so long that our own leases ran out
        entries = [entry for entry in found if entry[0] not in self._in_hand[stage]]
        metrics.REDELIVERED.inc(len(entries))
        return entries

    def _touch(self, stage: Stage, idle_seconds: float) -> None:
        """Set how long what is in hand has been idle; not what another consumer took over."""
        if not self._in_hand[stage]:
            return
        ours = self.times(stage).keys()
        if ours - self._in_hand[stage]:
            self._unsure.add(stage)
        if held := ours & self._in_hand[stage]:
            self._client.xclaim(
                self._keys.stage(stage), GROUP, self._consumer, min_idle_time=0,
                message_ids=sorted(held), idle=int(idle_seconds * 1000), justid=True,
            )  # fmt: skip
