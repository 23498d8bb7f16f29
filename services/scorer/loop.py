"""The scorer: rollout groups in, scored groups out.

Consumes rollouts, waits for a rollout or a free verifier, is unblocked by the sampler, hands on
scored groups. A verifier or a reward that hangs or dies costs one verdict, never the process.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from openrs_core import metrics
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.queue import MOST_DELIVERIES, Delivery, Queue, group_id
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup, ScoredGroup, Verdict
from services.scorer.rewards.own import Asked, OwnRewards
from services.scorer.rewards.score import score
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

    def submit_as_harness(self, completion: Completion, prompt: Prompt) -> "Future[Verdict]":
        """Begin to find out what the harness would say: `correct` if it gave credit."""


@dataclass(slots=True)
class InProgress:
    """A group whose verdicts are being found, and after them the rewards of the user's own."""

    taken: Delivery[RolloutGroup]
    verifying: "list[Future[Verdict]]"
    as_harness: "list[Future[Verdict]]" = field(default_factory=list)
    """What the harness would say of each completion; empty where the recipe does not ask."""
    verdicts: list[Verdict] | None = None
    """None until all of them are there."""
    own: list[Asked] = field(default_factory=list)
    """Of each completion, once its verdict is there."""
    since: float = field(default_factory=time.monotonic)

    @property
    def missing(self) -> "Future[Any] | None":
        """What is not there yet, of the completion that was begun last; None: all is."""
        own = [future for asked in self.own for future in asked.values()]
        awaited: list[Future[Any]] = [*self.verifying, *self.as_harness, *own]
        return next((each for each in reversed(awaited) if not each.done()), None)


def run(
    queue: Queue,
    verifiers: Verifiers,
    rules: ScorerSection,
    stop: threading.Event,
    own: OwnRewards | None = None,
) -> None:
    """Score until told to stop; `own` computes the rewards of the user's own, if there are any."""
    working: list[InProgress] = []
    while not stop.is_set():
        room = MOST_GROUPS - len(working)
        for taken in queue.read("rollouts", RolloutGroup, room, 0.0 if working else BLOCK_SECONDS):
            working.append(begin(verifiers, taken, rules))
        await_one(working)
        for group in [group for group in working if not group.missing]:
            if not ask(own, group):
                working.remove(group)
                hand_on(queue, group, rules, own)
        queue.renew("rollouts")
    queue.release("rollouts")


def begin(verifiers: Verifiers, taken: Delivery[RolloutGroup], rules: ScorerSection) -> InProgress:
    """Ask for the verdict of every completion; `error` if that has killed scorers before."""
    prompt, completions = taken.message.prompt, taken.message.completions
    if taken.times > MOST_DELIVERIES:
        logger.warning("group %s: %d scorers had it and died", group_id(taken.message), taken.times)
        return InProgress(taken, [known("error") for _ in completions])
    verifying = [verifiers.submit(each, prompt) for each in completions]
    asked = completions if rules.as_harness else ()
    return InProgress(
        taken, verifying, [verifiers.submit_as_harness(each, prompt) for each in asked]
    )


def await_one(working: Sequence[InProgress]) -> None:
    """Return as soon as a group may be done; or when it is time for another look at the queue.

    A group is done with the last of what it waits for, so one of each group is enough to watch.
    """
    missing = [group.missing for group in working]
    watched = [future for future in missing if future]
    if watched and len(watched) == len(working):  # otherwise one is done, or there is no work
        full = len(working) == MOST_GROUPS  # then there is nothing to look for
        wait(watched, BLOCK_SECONDS if full else LOOK_SECONDS, FIRST_COMPLETED)


def ask(own: OwnRewards | None, group: InProgress) -> bool:
    """Once all verdicts are there, ask for rewards of the user's own; is more to be waited for?"""
    if group.verdicts is not None:
        return False
    group.verdicts = [future.result() for future in group.verifying]
    if own:
        group.own = own.ask(group.taken.message, group.verdicts)
    return group.missing is not None


def hand_on(queue: Queue, group: InProgress, rules: ScorerSection, own: OwnRewards | None) -> None:
    """Forward a group with its scores; nothing when another scorer was faster."""
    rollout, verdicts = group.taken.message, group.verdicts or []
    given = [own.given(asked) for asked in group.own] if own else [{} for _ in verdicts]
    verdicts = [
        verdict if rewards is not None else "error"
        for verdict, rewards in zip(verdicts, given, strict=True)
    ]
    credited = [future.result() == "correct" for future in group.as_harness]
    scores = score(rollout, verdicts, [rewards or {} for rewards in given], rules, credited)
    if queue.forward(group.taken, "scored", ScoredGroup(rollout=rollout, scores=scores)):
        metrics.SCORE_SECONDS.observe(time.monotonic() - group.since)
        for verdict in verdicts:
            metrics.VERDICTS.labels(verdict).inc()
