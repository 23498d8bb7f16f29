"""The scorer: rollout groups in, scored groups out.

Consumes rollouts, waits for a rollout or a free verifier, is unblocked by the sampler, hands on
scored groups. A verifier that hangs or dies costs one verdict, never the process.
"""

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from openrs_core import metrics
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.queue import MOST_DELIVERIES, Delivery, Queue, group_id
from openrs_core.wire.messages import Completion, RolloutGroup, ScoredGroup, Verdict
from services.scorer.rewards import score
from services.scorer.verifier import known, verdict_of

logger = logging.getLogger(__name__)

MOST_GROUPS = 16
"""Groups taken at once: enough to keep the verifiers busy, few enough to lose little."""

TURN_SECONDS = 0.002
"""Pause of a turn in which verifiers are still at work."""


class Verifiers(Protocol):
    """What compares an answer with its reference."""

    def submit(self, completion: Completion, reference: str) -> "Future[Verdict]":
        """Begin; the future holds the verdict."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """A group whose verdicts are being found."""

    taken: Delivery[RolloutGroup]
    verdicts: "list[Future[Verdict]]"
    since: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> bool:
        """Has every completion its verdict?"""
        return all(verdict.done() for verdict in self.verdicts)


def run(queue: Queue, verifiers: Verifiers, rules: ScorerSection, stop: threading.Event) -> None:
    """Score until told to stop."""
    working: list[InProgress] = []
    while not stop.is_set():
        room = MOST_GROUPS - len(working)
        for taken in queue.read("rollouts", RolloutGroup, room, 0.0 if working else BLOCK_SECONDS):
            working.append(begin(verifiers, taken))
        for group in [group for group in working if group.done]:
            working.remove(group)
            hand_on(queue, group, rules)
        queue.renew("rollouts")
        if working:
            time.sleep(TURN_SECONDS)
    queue.release("rollouts")


def begin(verifiers: Verifiers, taken: Delivery[RolloutGroup]) -> InProgress:
    """Ask for the verdict of every completion; `error` if that has killed scorers before."""
    answer, completions = taken.message.prompt.answer, taken.message.completions
    if taken.times > MOST_DELIVERIES:
        logger.warning("group %s: %d scorers had it and died", group_id(taken.message), taken.times)
        return InProgress(taken, [known("error") for _ in completions])
    return InProgress(taken, [verifiers.submit(c, answer) for c in completions])


def hand_on(queue: Queue, group: InProgress, rules: ScorerSection) -> None:
    """Forward a group with its scores; nothing when another scorer was faster."""
    rollout = group.taken.message
    verdicts = [verdict_of(future) for future in group.verdicts]
    scores = tuple(
        score(completion.text, len(completion.token_ids), verdict, rules)
        for completion, verdict in zip(rollout.completions, verdicts, strict=True)
    )
    if queue.forward(group.taken, "scored", ScoredGroup(rollout=rollout, scores=scores)):
        metrics.SCORE_SECONDS.observe(time.monotonic() - group.since)
        for verdict in verdicts:
            metrics.VERDICTS.labels(verdict).inc()
