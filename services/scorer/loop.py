"""The scorer: rollout groups in, scored groups out.

Consumes rollouts, waits for a rollout or a free verifier, is unblocked by the sampler, hands on
scored groups. A verifier that hangs or dies costs one verdict, never the process.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Protocol

from openrs_core import metrics
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.queue import MOST_DELIVERIES, Delivery, Queue, group_id
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup, ScoredGroup, Verdict
from services.scorer.rewards import score
from services.scorer.verifier import known

logger = logging.getLogger(__name__)

MOST_GROUPS = 16
"""Groups taken at once: enough to keep the verifiers busy, few enough to lose little."""

LOOK_SECONDS = 0.05
"""How late a rollout that arrives while others are verified may be noticed: little beside the
seconds it took to sample, and few enough looks to cost nothing."""


class Verifiers(Protocol):
    """What finds out whether a completion answers its prompt."""

    def submit(self, completion: Completion, prompt: Prompt) -> "Future[Verdict]":
        """Begin; the future holds the verdict."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """A group whose verdicts are being found."""

    taken: Delivery[RolloutGroup]
    verdicts: "list[Future[Verdict]]"
    since: float = field(default_factory=time.monotonic)

    @property
    def missing(self) -> "Future[Verdict] | None":
        """A verdict that is not there yet, of the completion that was begun last; None: all are."""
        return next((verdict for verdict in reversed(self.verdicts) if not verdict.done()), None)


def run(queue: Queue, verifiers: Verifiers, rules: ScorerSection, stop: threading.Event) -> None:
    """Score until told to stop."""
    working: list[InProgress] = []
    while not stop.is_set():
        room = MOST_GROUPS - len(working)
        for taken in queue.read("rollouts", RolloutGroup, room, 0.0 if working else BLOCK_SECONDS):
            working.append(begin(verifiers, taken))
        await_verdict(working)
        for group in [group for group in working if not group.missing]:
            working.remove(group)
            hand_on(queue, group, rules)
        queue.renew("rollouts")
    queue.release("rollouts")


def begin(verifiers: Verifiers, taken: Delivery[RolloutGroup]) -> InProgress:
    """Ask for the verdict of every completion; `error` if that has killed scorers before."""
    prompt, completions = taken.message.prompt, taken.message.completions
    if taken.times > MOST_DELIVERIES:
        logger.warning("group %s: %d scorers had it and died", group_id(taken.message), taken.times)
        return InProgress(taken, [known("error") for _ in completions])
    return InProgress(taken, [verifiers.submit(c, prompt) for c in completions])


def await_verdict(working: Sequence[InProgress]) -> None:
    """Return as soon as a group may be done; or when it is time for another look at the queue.

    A group is done with its last verdict, so one missing verdict of each group is enough to watch.
    """
    missing = [group.missing for group in working]
    watched = [verdict for verdict in missing if verdict]
    if watched and len(watched) == len(working):  # otherwise one is done, or there is no work
        full = len(working) == MOST_GROUPS  # then there is nothing to look for
        wait(watched, BLOCK_SECONDS if full else LOOK_SECONDS, FIRST_COMPLETED)


def hand_on(queue: Queue, group: InProgress, rules: ScorerSection) -> None:
    """Forward a group with its scores; nothing when another scorer was faster."""
    rollout = group.taken.message
    verdicts = [future.result() for future in group.verdicts]
    scores = tuple(
        score(completion.text, len(completion.token_ids), verdict, rules)
        for completion, verdict in zip(rollout.completions, verdicts, strict=True)
    )
    if queue.forward(group.taken, "scored", ScoredGroup(rollout=rollout, scores=scores)):
        metrics.SCORE_SECONDS.observe(time.monotonic() - group.since)
        for verdict in verdicts:
            metrics.VERDICTS.labels(verdict).inc()
