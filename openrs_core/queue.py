"""Redis streams as a work queue between the processes of one run.

    publish   producer -> stream
    read      stream -> one consumer, who owns the entry until it forwards, acks or dies
    forward   result to the next stream and input acknowledged, in one step or not at all
    renew     still working on it
    release   hand it back (clean stop)
    bury      to the dead-letter stream, with the reason

Delivery is at least once: an entry whose owner fell silent for `redelivery_seconds` goes to the
next reader. `forward` makes it exactly once in effect: the first to finish wins, a late one hands
on nothing. An entry is deleted when it is acknowledged, so a stream's length is the work that is
waiting or in progress. Redis 7.0 commands only.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

from openrs_core import metrics
from openrs_core.codec import decode, encode
from openrs_core.connection import BLOCK_SECONDS
from openrs_core.errors import DecodeError
from openrs_core.keys import GROUP, STAGES, Keys, Stage
from openrs_core.messages import Message, Prompt, RolloutGroup, ScoredGroup

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=Message)

RENEWALS_PER_LEASE = 4
"""Leases are renewed this many times before they would run out."""

# KEYS: source, sink.  ARGV: consumer group, entry id, field, value, ...
# The first write is XACK, which a full Redis still allows; a script that has written goes on.
_FORWARD = """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
return 1
"""

_ACK = """
for i = 2, #ARGV do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then redis.call('XDEL', KEYS[1], ARGV[i]) end
end
return 1
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Delivery(Generic[M]):
    """A message and the claim on it."""

    entry_id: bytes
    stage: Stage
    message: M


class Queue:
    """One consumer's view of a run's streams."""

    def __init__(
        self,
        client: redis.Redis,
        run: str,
        consumer: str,
        redelivery_seconds: float = 60.0,
    ) -> None:
        self.keys = Keys(run)
        self.redelivery_seconds = redelivery_seconds
        self._client, self._consumer = client, consumer
        self._forward = client.register_script(_FORWARD)
        self._ack = client.register_script(_ACK)
        self._next_claim = dict.fromkeys(STAGES, 0.0)
        self._next_renewal = dict.fromkeys(STAGES, 0.0)
        for stage in STAGES:
            self._ensure_group(stage)

    def publish(
        self, stage: Stage, messages: Iterable[Prompt | RolloutGroup | ScoredGroup]
    ) -> None:
        """Append messages to a stage, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for message in messages:
            pipeline.xadd(
                self.keys.stage(stage), {"body": encode(message), "id": group_id(message)}
            )
        pipeline.execute()

    def read(
        self, stage: Stage, kind: type[M], count: int, seconds: float = 0.0
    ) -> list[Delivery[M]]:
        """Up to `count` messages, first what others abandoned, then what is new.

        Waits so long for the first (BLOCK_SECONDS at most). What cannot be decoded is buried.
        """
        if count < 1:
            return []
        entries = self._abandoned(stage, count)
        if not entries:
            entries = self._new(stage, count, seconds)
        return [delivery for entry in entries if (delivery := self._open(stage, kind, *entry))]

    def recover(self, stage: Stage, kind: type[M]) -> list[Delivery[M]]:
        """What a consumer of this name had taken and not settled in an earlier life."""
        answer = self._client.xreadgroup(GROUP, self._consumer, {self.keys.stage(stage): "0"})
        entries = [(entry_id, fields) for entry_id, fields in answer[0][1] if fields]
        return [delivery for entry in entries if (delivery := self._open(stage, kind, *entry))]

    def forward(self, taken: Delivery[M], stage: Stage, result: RolloutGroup | ScoredGroup) -> bool:
        """Hand on `result` and settle its input; False when another had finished it before."""
        keys = [self.keys.stage(taken.stage), self.keys.stage(stage)]
        body = encode(result)
        args = [GROUP, taken.entry_id, "body", body, "id", group_id(result)]
        return bool(self._forward(keys=keys, args=args))

    def ack(self, stage: Stage, taken: Iterable[Delivery[M]]) -> None:
        """Settle deliveries that lead to no further message."""
        ids = [delivery.entry_id for delivery in taken]
        if ids:
            self._ack(keys=[self.keys.stage(stage)], args=[GROUP, *ids])

    def renew(self, stage: Stage, taken: Iterable[Delivery[M]]) -> None:
        """Keep the claim on work in progress; writes only once a quarter of the lease is over."""
        now = time.monotonic()
        if now < self._next_renewal[stage]:
            return
        self._next_renewal[stage] = now + self.redelivery_seconds / RENEWALS_PER_LEASE
        self._claim(stage, [delivery.entry_id for delivery in taken], idle_seconds=0.0)

    def release(self, stage: Stage, taken: Iterable[Delivery[M]]) -> None:
        """Hand back work in progress, so that the next reader need not wait for the lease."""
        ids = [delivery.entry_id for delivery in taken]
        self._claim(stage, ids, idle_seconds=2 * self.redelivery_seconds)

    def depth(self, stage: Stage) -> int:
        """Messages of a stage that are waiting or in progress."""
        return int(self._client.xlen(self.keys.stage(stage)))

    def traces(self) -> set[str]:
        """Group ids present in any stage, waiting or in progress."""
        found: set[str] = set()
        for stage in STAGES:
            entries = self._client.xrange(self.keys.stage(stage))
            found.update(fields[b"id"].decode() for _, fields in entries if b"id" in fields)
        return found

    def _ensure_group(self, stage: Stage) -> None:
        try:
            self._client.xgroup_create(self.keys.stage(stage), GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # the group is there already: all is well
                raise

    def _abandoned(self, stage: Stage, count: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        now = time.monotonic()
        if now < self._next_claim[stage]:
            return []
        idle = int(self.redelivery_seconds * 1000)
        answer = self._client.xautoclaim(
            self.keys.stage(stage), GROUP, self._consumer, min_idle_time=idle, count=count
        )
        entries = [(entry_id, fields) for entry_id, fields in answer[1] if fields]
        metrics.REDELIVERED.inc(len(entries))
        if len(entries) < count:  # all taken over: look again in a while
            self._next_claim[stage] = now + self.redelivery_seconds / RENEWALS_PER_LEASE
        return entries

    def _new(
        self, stage: Stage, count: int, seconds: float
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        milliseconds = int(min(seconds, BLOCK_SECONDS) * 1000) or None
        streams = {self.keys.stage(stage): ">"}
        answer = self._client.xreadgroup(GROUP, self._consumer, streams, count, milliseconds)
        return list(answer[0][1]) if answer else []

    def _open(
        self, stage: Stage, kind: type[M], entry_id: bytes, fields: dict[bytes, bytes]
    ) -> Delivery[M] | None:
        body = fields.get(b"body", b"")
        try:
            return Delivery(entry_id, stage, decode(body, kind))
        except DecodeError as error:
            self.bury(stage, entry_id, body, str(error))
            return None

    def bury(self, stage: Stage, entry_id: bytes, body: bytes, reason: str) -> None:
        """Move an entry to the dead-letter stream with its bytes, reason and origin."""
        letter: list[str | bytes] = ["body", body, "reason", reason, "stage", stage]
        letter += ["consumer", self._consumer]
        keys = [self.keys.stage(stage), self.keys.buried]
        if self._forward(keys=keys, args=[GROUP, entry_id, *letter]):
            metrics.BURIED.inc()
            logger.warning("buried a message of %s: %s", stage, reason)

    def _claim(self, stage: Stage, ids: list[bytes], idle_seconds: float) -> None:
        """Set how long our entries have been idle; not those another consumer took over."""
        if not ids:
            return
        pending = self._client.xpending_range(
            self.keys.stage(stage), GROUP, min="-", max="+", count=10_000,
            consumername=self._consumer,
        )  # fmt: skip
        ours = {entry["message_id"] for entry in pending} & set(ids)
        if ours:
            self._client.xclaim(
                self.keys.stage(stage), GROUP, self._consumer, min_idle_time=0,
                message_ids=sorted(ours), idle=int(idle_seconds * 1000), justid=True,
            )  # fmt: skip


def group_id(message: Prompt | RolloutGroup | ScoredGroup) -> str:
    """The group a message belongs to."""
    if isinstance(message, ScoredGroup):
        message = message.rollout
    return (message if isinstance(message, Prompt) else message.prompt).group_id
