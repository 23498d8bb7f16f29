"""Admission: what goes into the ring and what comes out of it into a step.

Issues prompts while the ledger has room, collects scored groups, sorts them (evaluation, no
signal, failed, late, of a dead incarnation) and hands the learner exactly one step's worth.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from openrs_core import metrics
from openrs_core.errors import FullError, StoppedError
from openrs_core.ledger import ENDS, End, Issued, Ledger, Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.keys import STAGES
from openrs_core.ring.queue import Delivery, Queue
from openrs_core.wire.messages import Prompt, Sampling, ScoredGroup
from services.learner.advantages import has_signal
from services.learner.evaluation import Evaluated, Evaluation
from services.learner.intake import fault
from services.learner.problems import Problems

logger = logging.getLogger(__name__)

READ_GROUPS = 256
"""Most groups read from the stream at once."""

PUBLISHING_SECONDS = 0.01
"""Longest wait for groups while the newest policy is not published yet."""

PATIENCE_SECONDS = 60.0
"""After this long without a group, say so, and look for groups that were lost."""


@dataclass(frozen=True, slots=True)
class Collected:
    """One group of a step."""

    issued: Issued
    group: ScoredGroup
    staleness: int
    """Distance to the farthest policy that made one of its tokens, in optimizer steps."""


class Admission:
    """The learner's gate to the ring."""

    def __init__(
        self,
        queue: Queue,
        ledger: Ledger,
        problems: Problems,
        evaluation: Evaluation,
        recipe: TrainingRecipe,
        published: Callable[[], Policy],
    ) -> None:
        """`published` tells the newest policy that samplers can see."""
        self._queue, self.ledger, self._problems = queue, ledger, problems
        self._evaluation, self._recipe, self._published = evaluation, recipe, published
        self._held: dict[str, Delivery[ScoredGroup]] = {}
        self._trained: list[Delivery[ScoredGroup]] = []
        self._outbox: list[Prompt] = []  # booked in the ledger, not in Redis yet
        self._is_full = False
        self._seen = (queue.disturbances, queue.buried())
        self._counted = ledger.ended.copy()  # what the metrics already say
        self.on_evaluated: Callable[[Evaluated], None] = lambda _: None
        """Called with every finished evaluation."""

    def issue(self, learner: Policy, *, alone: bool = False) -> None:
        """Send out prompts: evaluation's share, and training's as far as the ledger has room.

        Nothing more is issued while Redis is full; what was booked then goes out first.
        """
        if self._outbox and not self._send():
            return
        self._outbox += self._evaluation.next_prompts(alone=alone)
        published = self._published()
        groups = [self.ledger.issue(published) for _ in range(self.ledger.room(learner, published))]
        self._outbox += [self._prompt(group) for group in groups]
        metrics.GROUPS_ISSUED.inc(len(groups))
        self._send()

    @property
    def is_stuck(self) -> bool:
        """Do prompts wait for memory in Redis?"""
        return self._is_full

    def collect(self, learner: Policy, stop: threading.Event) -> list[Collected]:
        """Wait for the groups of the next step; none when told to stop."""
        patience = _Patience()
        try:
            while not stop.is_set():
                if chosen := self.ledger.take(learner):
                    return [self._collected(group_id, learner) for group_id in chosen]
                self.issue(learner)
                if self._turn(learner):
                    patience = _Patience()
                elif patience.is_over(len(self.ledger.in_flight)):
                    self._send_lost()
        except StoppedError as error:  # what is in the weights can still be written to disk
            logger.info("%s", error)
        return []

    def await_evaluation(self, learner: Policy, stop: threading.Event) -> None:
        """Wait until every evaluation begun is finished."""
        patience = _Patience()
        while self._evaluation.pending and not stop.is_set():
            self._outbox += self._evaluation.next_prompts(alone=True)
            self._send()
            if self._turn(learner):
                patience = _Patience()
            elif patience.is_over(len(self._evaluation.prompts)):
                self._send_lost()

    def settle(self, groups: Iterable[Collected], how: End = "trained") -> None:
        """These groups are in the weights now, or never will be (their step was skipped): they are
        acknowledged by the next checkpoint."""
        for collected in groups:
            self.ledger.end(collected.issued.group_id, how)
            self._trained.append(self._held.pop(collected.issued.group_id))

    def checkpointed(self) -> None:
        """A durable checkpoint covers everything trained so far: acknowledge it."""
        self._queue.ack("scored", self._trained)
        self._trained = []

    def resume(self, learner: Policy) -> None:
        """Take up what an earlier life left in Redis; send again what left no trace."""
        self._queue.life = learner.incarnation
        self._send_lost()

    def observe(self) -> None:
        """Gauges of the ring."""
        for how in ENDS:
            metrics.GROUPS_ENDED.labels(how).inc(self.ledger.ended[how] - self._counted[how])
        self._counted = self.ledger.ended.copy()
        metrics.GROUPS_IN_FLIGHT.set(len(self.ledger.in_flight))
        for stage in STAGES:
            metrics.STREAM_DEPTH.labels(stage).set(self._queue.depth(stage))

    def _turn(self, learner: Policy) -> bool:
        """One read of the stream; did anything come?"""
        self._queue.renew("scored")
        # while weights are on their way, their arrival may make room for prompts at any moment
        seconds = BLOCK_SECONDS if self._published() == learner else PUBLISHING_SECONDS
        taken = self._queue.read("scored", ScoredGroup, READ_GROUPS, seconds)
        for delivery in taken:
            self._take(delivery, learner)
        self._look_for_losses()
        self.observe()
        return bool(taken)

    def _send(self) -> bool:
        """Send what is in the outbox; False when Redis is too full for it."""
        try:
            self._queue.publish("prompts", self._outbox)
        except FullError:
            if not self._is_full:
                logger.warning(
                    "Redis is full (maxmemory): issuing waits with %d prompts until there is room",
                    len(self._outbox),
                )
                metrics.REDIS_FULL.set(1)
            self._is_full = True
            return False
        if self._is_full:
            metrics.REDIS_FULL.set(0)
        self._is_full, self._outbox = False, []
        return True

    def _look_for_losses(self) -> None:
        """Redis was away or empty, or something was buried: groups of ours may be gone."""
        seen = (self._queue.disturbances, self._queue.buried())
        if seen != self._seen:
            self._seen = seen
            self._send_lost()

    def _send_lost(self) -> None:
        """Send again the prompts of groups that are nowhere in Redis: lost with it, or buried."""
        held = {*self._queue.traces(), *self._held, *(prompt.group_id for prompt in self._outbox)}
        lost = [group for name, group in self.ledger.in_flight.items() if name not in held]
        prompts = [*self._evaluation.lost(held), *(self._prompt(group) for group in lost)]
        self._outbox += prompts
        metrics.REISSUED.inc(len(prompts))
        if prompts:
            logger.info("sending %d prompts again that left no trace in Redis", len(prompts))
        self._send()

    def _take(self, delivery: Delivery[ScoredGroup], learner: Policy) -> None:
        """Sort one scored group; what no step will need is acknowledged at once."""
        group = delivery.message
        prompt = group.rollout.prompt
        if reason := self._fault(group, learner):
            self._queue.refuse(delivery, reason)
            return
        metrics.GROUP_SECONDS.observe(max(0.0, time.time() - prompt.issued_at))
        if prompt.purpose == "eval":
            if result := self._evaluation.arrive(group):
                self.on_evaluated(result)
        elif self._admit(group, learner):
            self._held[prompt.group_id] = delivery
            return
        self._queue.ack("scored", [delivery])

    def _fault(self, group: ScoredGroup, learner: Policy) -> str:
        """Why a group in flight is not what was issued; empty for every other group."""
        group_id = group.rollout.prompt.group_id
        issued = self.ledger.in_flight.get(group_id)
        prompt = self._prompt(issued) if issued else self._evaluation.prompts.get(group_id)
        return fault(group, prompt, learner, self._problems.vocabulary) if prompt else ""

    def _admit(self, group: ScoredGroup, learner: Policy) -> bool:
        """Is this group to be trained on? Otherwise the ledger knows why not."""
        group_id = group.rollout.prompt.group_id
        if group_id not in self.ledger.in_flight or group_id in self._held:
            return False  # ended before, delivered twice, or of a life whose steps were lost
        if not group.scores:
            logger.warning("group %s failed: %s", group_id, group.rollout.failure)
            self.ledger.end(group_id, "failed")
            return False
        if not has_signal([score.reward for score in group.scores]):
            self.ledger.end(group_id, "zero_signal")
            return False
        return self.ledger.arrive(group_id, _made_by(group), learner)

    def _collected(self, group_id: str, learner: Policy) -> Collected:
        group = self._held[group_id].message
        distances = [self.ledger.lineage.distance(policy, learner) for policy in _made_by(group)]
        return Collected(self.ledger.in_flight[group_id], group, max(distances))

    def _prompt(self, group: Issued) -> Prompt:
        problem = self._problems.at(group.position)
        return Prompt(
            group_id=group.group_id,
            prompt_id=problem.prompt_id,
            position=group.position,
            purpose="train",
            incarnation=group.policy.incarnation,
            issued_version=group.policy.version,
            issued_at=time.time(),
            token_ids=problem.token_ids,
            answer=problem.answer,
            sampling=Sampling(
                temperature=self._recipe.sampler.temperature,
                max_tokens=self._recipe.sampler.max_tokens,
                group_size=self._recipe.learner.group_size,
            ),
        )


def _made_by(group: ScoredGroup) -> set[Policy]:
    """Every policy that made a token of the group."""
    return {
        Policy(run.incarnation, run.version)
        for completion in group.rollout.completions
        for run in completion.policies
    }


class _Patience:
    """Says what is missing when nothing comes for long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PATIENCE_SECONDS

    def is_over(self, in_flight: int) -> bool:
        """Has it been too long since the last group, or since we last said so?"""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + PATIENCE_SECONDS
        logger.warning(
            "no scored group for %.0f s, %d in flight: are a sampler and a scorer running?",
            PATIENCE_SECONDS,
            in_flight,
        )
        return True
