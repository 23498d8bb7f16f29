"""The scorer: rollout groups in, scored groups out.

Consumes rollouts, waits for a rollout or a free verifier, is unblocked by the sampler, hands on
scored groups. A verifier that hangs or dies costs one verdict, never the process.
"""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from openrs_core import metrics
from openrs_core.connection import BLOCK_SECONDS
from openrs_core.messages import Completion, RolloutGroup, ScoredGroup, Verdict
from openrs_core.queue import Delivery, Queue
from openrs_core.recipe import Scorer
from services.scorer.rewards import score
from services.scorer.verifier import verdict_of

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


def run(queue: Queue, verifiers: Verifiers, rules: Scorer, stop: threading.Event) -> None:
    """Score until told to stop."""
    working: list[InProgress] = []
    while not stop.is_set():
        room = MOST_GROUPS - len(working)
        for taken in queue.read("rollouts", RolloutGroup, room, 0.0 if working else BLOCK_SECONDS):
            working.append(begin(verifiers, taken))
        for group in [group for group in working if group.done]:
            working.remove(group)
            hand_on(queue, group, rules)
        queue.renew("rollouts", [group.taken for group in working])
        if working:
            time.sleep(TURN_SECONDS)
    queue.release("rollouts", [group.taken for group in working])


def begin(verifiers: Verifiers, taken: Delivery[RolloutGroup]) -> InProgress:
    """Ask for the verdict of every completion."""
    answer = taken.message.prompt.answer
    return InProgress(taken, [verifiers.submit(c, answer) for c in taken.message.completions])


def hand_on(queue: Queue, group: InProgress, rules: Scorer) -> None:
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
