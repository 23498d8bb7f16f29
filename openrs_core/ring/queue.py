"""Redis streams as a work queue between the processes of one run.

    publish   producer -> stream
    read      stream -> one consumer, who owns the entry until it forwards, acks or dies
    forward   result to the next stream and input acknowledged, in one step or not at all
    renew     still working on what is in hand
    release   hand it back (clean stop)
    bury      to the dead-letter stream, with the reason

Delivery is at least once: an entry whose owner fell silent for `redelivery_seconds` goes to the
next reader, and a consumer that comes back under its name finds what it had. `forward` makes it
exactly once in effect: the first to finish wins, a late one hands on nothing. An entry is deleted
when it is acknowledged, so a stream's length is the work that is waiting or in progress.

Every operation bears being sent twice, because a client that lost an answer does so: `forward`,
`ack` and `bury` do nothing the second time, a prompt published twice is one group, and what was
read but never arrived is found among the consumer's own entries. Redis 7.0 commands only.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

from openrs_core import metrics
from openrs_core.errors import DecodeError, FullError
from openrs_core.ring import dead_letters
from openrs_core.ring.claims import Claims, Entry
from openrs_core.ring.connection import BLOCK_SECONDS, outages
from openrs_core.ring.fence import FENCE, UNFENCED, refuse_fenced
from openrs_core.ring.keys import GROUP, STAGES, Keys, Stage
from openrs_core.wire.codec import decode, encode
from openrs_core.wire.messages import Message, Prompt, RolloutGroup, ScoredGroup

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=Message)

MOST_DELIVERIES = 8
"""Work that was handed out more often than this has killed those who had it: it is given up, and
travels on as a failure."""

# KEYS: source, sink.  ARGV: consumer group, entry id, field, value, ...
# The first write is XACK, which a full Redis still allows; a script that has written goes on.
_FORWARD = """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
return 1
"""

# KEYS: incarnation, stream.  ARGV: incarnation, body, group id, body, group id, ...
_PUBLISH = f"""{FENCE}
for i = 2, #ARGV, 2 do
  redis.call('XADD', KEYS[2], '*', 'body', ARGV[i], 'id', ARGV[i + 1])
end
return 1
"""

# KEYS: incarnation, stream.  ARGV: incarnation, consumer group, entry id, ...
_ACK = f"""{FENCE}
for i = 3, #ARGV do
  if redis.call('XACK', KEYS[2], ARGV[2], ARGV[i]) == 1 then redis.call('XDEL', KEYS[2], ARGV[i]) end
end
return 1
"""  # noqa: E501

# KEYS: streams.  The group ids of all entries, without their bodies, at one moment.
_TRACES = """
local found = {}
for _, stream in ipairs(KEYS) do
  local from, page = '-', nil
  repeat
    page = redis.call('XRANGE', stream, from, '+', 'COUNT', 64)
    for _, entry in ipairs(page) do
      from = '(' .. entry[1]
      for i = 1, #entry[2], 2 do
        if entry[2][i] == 'id' then table.insert(found, entry[2][i + 1]) end
      end
    end
  until #page < 64
end
return found
"""


@dataclass(frozen=True, slots=True)
class Delivery(Generic[M]):
    """A message and the claim on it."""

    entry_id: bytes
    stage: Stage
    message: M

    times: int = 1
    """How often it was handed out: who had it before has died, or lost its lease."""


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
        self.incarnation = UNFENCED
        """The learner's incarnation: once a later one has begun, nothing more is published."""
        self._client, self._run, self._consumer = client, run, consumer
        self._forward = client.register_script(_FORWARD)
        self._publish = client.register_script(_PUBLISH)
        self._bury = client.register_script(dead_letters.BURY)
        self._ack = client.register_script(_ACK)
        self._traces = client.register_script(_TRACES)
        self._claims = Claims(client, self.keys, consumer, redelivery_seconds)
        self._lost = 0
        for stage in STAGES:
            self._ensure_group(stage)

    @property
    def disturbances(self) -> int:
        """How often Redis was away or had lost a stream: something of the run may be gone."""
        return outages(self._client) + self._lost

    def publish(
        self, stage: Stage, messages: Iterable[Prompt | RolloutGroup | ScoredGroup]
    ) -> None:
        """Append messages to a stage, all of them or none.

        Raises:
            FullError: Redis has no memory left.
            FencedError: another learner has taken over.
        """
        pairs = [word for m in messages for word in (encode(m), group_id(m))]
        if not pairs:
            return
        keys = [self.keys.incarnation, self.keys.stage(stage)]
        try:
            answer = self._publish(keys=keys, args=[self.incarnation, *pairs])
        except redis.OutOfMemoryError as error:
            raise FullError(str(error)) from error
        refuse_fenced(answer, self._run, self.incarnation)

    def read(
        self, stage: Stage, kind: type[M], count: int, seconds: float = 0.0
    ) -> list[Delivery[M]]:
        """Up to `count` messages: first our own of an earlier life, or whose arrival we missed;
        then what others abandoned; then what is new.

        Waits so long for the first (BLOCK_SECONDS at most). What cannot be decoded is buried.
        """
        if count < 1:
            return []
        try:
            redelivered = self._claims.redelivered(stage, count)
            entries = redelivered or self._new(stage, count, seconds)
            times = self._claims.times(stage) if redelivered else {}
        except redis.ResponseError as error:
            if not _is_lost(error):
                raise
            self._lost += 1
            self._ensure_group(stage)
            return []
        self._claims.take(stage, entries)
        opened = [self._open(stage, kind, *entry, times.get(entry[0], 1)) for entry in entries]
        return [delivery for delivery in opened if delivery]

    def forward(self, taken: Delivery[M], stage: Stage, result: RolloutGroup | ScoredGroup) -> bool:
        """Hand on `result` and settle its input; False when another had finished it before."""
        keys = [self.keys.stage(taken.stage), self.keys.stage(stage)]
        body = encode(result)
        args = [GROUP, taken.entry_id, "body", body, "id", group_id(result)]
        handed_on = bool(self._forward(keys=keys, args=args))
        self._claims.settle(taken.stage, [taken.entry_id])
        return handed_on

    def ack(self, stage: Stage, taken: Iterable[Delivery[M]]) -> None:
        """Settle deliveries that lead to no further message.

        Raises:
            FencedError: another learner has taken over.
        """
        ids = [delivery.entry_id for delivery in taken]
        if not ids:
            return
        keys = [self.keys.incarnation, self.keys.stage(stage)]
        refuse_fenced(
            self._ack(keys=keys, args=[self.incarnation, GROUP, *ids]), self._run, self.incarnation
        )
        self._claims.settle(stage, ids)

    def renew(self, stage: Stage) -> None:
        """Keep the claim on what is in hand; writes only once a quarter of the lease is over."""
        with _forgiving():
            self._claims.renew(stage)

    def release(self, stage: Stage) -> None:
        """Hand back what is in hand, so that the next reader need not wait for the lease."""
        with _forgiving():
            self._claims.release(stage)

    def depth(self, stage: Stage) -> int:
        """Messages of a stage that are waiting or in progress."""
        return int(self._client.xlen(self.keys.stage(stage)))

    def buried(self) -> int:
        """How many messages of the run were ever buried."""
        if not self._client.exists(self.keys.buried):
            return 0
        return int(self._client.xinfo_stream(self.keys.buried)["entries-added"])

    def traces(self) -> set[str]:
        """Group ids present in any stage, waiting or in progress."""
        streams = [self.keys.stage(stage) for stage in STAGES]
        return {name.decode(errors="replace") for name in self._traces(keys=streams)}

    def _ensure_group(self, stage: Stage) -> None:
        if self._client.exists(self.keys.stage(stage)) and any(
            group["name"] == GROUP.encode()
            for group in self._client.xinfo_groups(self.keys.stage(stage))
        ):
            return  # a full Redis would refuse to make it even where it is
        try:
            self._client.xgroup_create(self.keys.stage(stage), GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # the group is there already: all is well
                raise

    def _new(self, stage: Stage, count: int, seconds: float) -> list[Entry]:
        milliseconds = int(min(seconds, BLOCK_SECONDS) * 1000) or None
        streams = {self.keys.stage(stage): ">"}
        answer = self._client.xreadgroup(GROUP, self._consumer, streams, count, milliseconds)
        return list(answer[0][1]) if answer else []

    def _open(
        self, stage: Stage, kind: type[M], entry_id: bytes, fields: dict[bytes, bytes], times: int
    ) -> Delivery[M] | None:
        try:
            return Delivery(entry_id, stage, decode(fields.get(b"body", b""), kind), times)
        except DecodeError as error:
            self.bury(stage, entry_id, fields, str(error))
            return None

    def bury(
        self, stage: Stage, entry_id: bytes, fields: Mapping[bytes, bytes], reason: str
    ) -> None:
        """Move an entry to the dead-letter stream with its bytes, reason and origin."""
        keys = [self.keys.stage(stage), self.keys.buried]
        letter = dead_letters.letter(fields, reason, stage, self._consumer)
        if self._bury(keys=keys, args=[GROUP, entry_id, dead_letters.KEPT, *letter]):
            metrics.BURIED.inc()
            logger.warning("buried a message of %s: %s", stage, reason)
        self._claims.settle(stage, [entry_id])

    def refuse(self, taken: Delivery[Prompt] | Delivery[ScoredGroup], reason: str) -> None:
        """Bury a message that can be decoded, but is not what it should be."""
        fields = {b"body": encode(taken.message), b"id": group_id(taken.message).encode()}
        self.bury(taken.stage, taken.entry_id, fields, reason)


def _is_lost(error: redis.ResponseError) -> bool:
    """Does this say that a stream or its group is gone? Redis has lost its memory."""
    return str(error).startswith(("NOGROUP", "UNBLOCKED"))


@contextmanager
def _forgiving() -> Iterator[None]:
    """A stream that is gone has no leases; `read` makes it anew."""
    try:
        yield
    except redis.ResponseError as error:
        if not _is_lost(error):
            raise


def group_id(message: Prompt | RolloutGroup | ScoredGroup) -> str:
    """The group a message belongs to."""
    if isinstance(message, ScoredGroup):
        message = message.rollout
    return (message if isinstance(message, Prompt) else message.prompt).group_id
