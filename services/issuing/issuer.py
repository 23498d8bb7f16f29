"""Prompts out, their scored groups back: what every client of the ring does.

The issuer keeps each prompt from the moment it is issued until its group is settled. So it can say
whether what comes back is what was issued, whatever chose the prompt; it notices which groups have
left no trace in Redis, and sends their prompts again; and what was in flight outlives a restart.
What a group is good for is its client's to decide: each group that `read` returns is in hand until
the client drops it (acknowledged at once) or settles it (acknowledged by the next `acknowledge`,
when a checkpoint covers it).
"""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from openrs_core import metrics
from openrs_core.errors import FullError
from openrs_core.ledger import Policy
from openrs_core.ring.keys import STAGES, Stage
from openrs_core.ring.queue import Delivery, Queue
from openrs_core.wire.messages import Prompt, Sampling, ScoredGroup
from services.issuing.intake import fault

logger = logging.getLogger(__name__)

READ_GROUPS = 256
"""Most groups read from the stream at once."""

PATIENCE_SECONDS = 60.0
"""After waiting this long in vain, say so, and look for groups that were lost."""


class Issuer:
    """What is in flight, and what of it has come back."""

    def __init__(self, queue: Queue, vocabulary: int) -> None:
        """Token ids of the model are below `vocabulary`."""
        self._queue, self._vocabulary = queue, vocabulary
        self.in_flight: dict[str, Prompt] = {}
        """Every prompt whose group is not settled, by group id."""
        self._in_hand: dict[str, Delivery[ScoredGroup]] = {}
        self._settled: list[Delivery[ScoredGroup]] = []
        self._outbox: list[Prompt] = []
        self._seen = self._disturbances()
        self._waited_seconds = 0.0
        self.is_full = False
        """Do prompts wait for memory in Redis?"""

    # --- out -----------------------------------------------------------------------------------

    def issue(self, prompts: Iterable[Prompt]) -> None:
        """Send prompts out; while Redis is full they are kept, and go out first afterwards."""
        new = list(prompts)
        self.in_flight |= {prompt.group_id: prompt for prompt in new}
        self._outbox += new
        self.send()

    def send(self) -> bool:
        """Send what is kept; False while Redis has no memory for it."""
        try:
            self._queue.publish("prompts", self._outbox)
        except FullError:
            if not self.is_full:
                logger.warning(
                    "Redis is full (maxmemory): issuing waits with %d prompts until there is room",
                    len(self._outbox),
                )
            self.is_full = True
            return False
        self.is_full, self._outbox = False, []
        return True

    def state(self, group_ids: Iterable[str]) -> list[dict[str, Any]]:
        """These prompts in flight as JSON-able values, for a checkpoint."""
        return [asdict(self.in_flight[group_id]) for group_id in group_ids]

    def restore(self, prompts: Iterable[Mapping[str, Any]]) -> None:
        """Take up what an earlier life had in flight, by its checkpoint."""
        for fields in prompts:
            tokens, sampling = tuple(fields["token_ids"]), Sampling(**fields["sampling"])
            self.take_up(Prompt(**{**fields, "token_ids": tokens, "sampling": sampling}))

    def take_up(self, prompt: Prompt) -> None:
        """This prompt may have been sent by an earlier life; `resume` sends it if it was not."""
        self.in_flight[prompt.group_id] = prompt

    def resume(self, incarnation: int) -> None:
        """Begin to send as this incarnation; first what left no trace in Redis."""
        self._queue.incarnation = incarnation
        self._send_lost()

    # --- back ----------------------------------------------------------------------------------

    def read(self, reached: Policy, seconds: float) -> list[ScoredGroup]:
        """Groups of prompts in flight that came back, each once; waits so long for the first.

        Groups of other prompts (ended before, or of a life whose steps were lost) are acknowledged;
        what is not as it was issued is buried. `reached` is the newest policy there can be.
        """
        self._queue.renew("scored")
        begun = time.monotonic()
        taken = self._queue.read("scored", ScoredGroup, READ_GROUPS, seconds)
        ours = [delivery.message for delivery in taken if self._is_ours(delivery, reached)]
        self._look_for_losses(bool(taken), time.monotonic() - begun)
        return ours

    def group(self, group_id: str) -> ScoredGroup:
        """A group in hand."""
        return self._in_hand[group_id].message

    def drop(self, group_id: str) -> None:
        """Nobody needs this group (any more): acknowledge it, if it is back, and forget it."""
        del self.in_flight[group_id]
        if delivery := self._in_hand.pop(group_id, None):
            self._queue.ack("scored", [delivery])

    def settle(self, group_id: str) -> None:
        """A group in hand has served: the next `acknowledge` is about it too."""
        del self.in_flight[group_id]
        self._settled.append(self._in_hand.pop(group_id))

    def acknowledge(self) -> None:
        """What was settled is safe on disk: let Redis forget it."""
        self._queue.ack("scored", self._settled)
        self._settled = []

    def traces(self) -> set[str]:
        """Group ids that Redis holds in any stage."""
        return self._queue.traces()

    def depths(self) -> dict[Stage, int]:
        """Messages of each stage that are waiting or in progress."""
        return {stage: self._queue.depth(stage) for stage in STAGES}

    def _is_ours(self, delivery: Delivery[ScoredGroup], reached: Policy) -> bool:
        group_id = delivery.message.rollout.prompt.group_id
        issued = self.in_flight.get(group_id)
        if issued and (reason := fault(delivery.message, issued, reached, self._vocabulary)):
            self._queue.refuse(delivery, reason)
            return False
        if issued is None or group_id in self._in_hand:
            self._queue.ack("scored", [delivery])
            return False
        self._in_hand[group_id] = delivery
        return True

    # --- losses ----------------------------------------------------------------------------------

    def _look_for_losses(self, came: bool, seconds: float) -> None:
        """Redis was away or empty, something was buried, or nothing came for long."""
        seen = self._disturbances()
        if seen != self._seen or self._is_impatient(came, seconds):
            self._seen = seen
            self._send_lost()

    def _is_impatient(self, came: bool, seconds: float) -> bool:
        """Has it been too long since the last group, or since we last said so?"""
        self._waited_seconds = 0.0 if came else self._waited_seconds + seconds
        if self._waited_seconds < PATIENCE_SECONDS:
            return False
        self._waited_seconds = 0.0
        logger.warning(
            "no scored group for %.0f s, %d in flight: are a sampler and a scorer running?",
            PATIENCE_SECONDS,
            len(self.in_flight),
        )
        return True

    def _send_lost(self) -> None:
        """Send again the prompts of groups that are nowhere in Redis: lost with it, or buried."""
        there = {*self._queue.traces(), *self._in_hand, *(p.group_id for p in self._outbox)}
        lost = [prompt for name, prompt in self.in_flight.items() if name not in there]
        self._outbox += lost
        metrics.REISSUED.inc(len(lost))
        if lost:
            logger.info("sending %d prompts again that left no trace in Redis", len(lost))
        self.send()

    def _disturbances(self) -> tuple[int, int]:
        return self._queue.disturbances, self._queue.buried()
