"""The sampler: prompts in, rollout groups out.

Consumes prompts, waits for a prompt or a free slot, is unblocked by the learner issuing, hands on
rollouts. The order of a turn matters: prompts are read, *then* newer weights are looked for, then
the prompts are submitted. The learner publishes weights before it issues, so a prompt is never
sampled under weights older than those it was issued under.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from openrs_core import metrics
from openrs_core.errors import DecodeError, WeightsError
from openrs_core.messages import Prompt, RolloutGroup
from openrs_core.queue import Delivery, Queue
from openrs_core.weights import Receiver, Snapshot

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Engine(Protocol):
    """What samples: requests go in, finished groups come out, weights change in between."""

    @property
    def free_groups(self) -> int:
        """How many more groups it will take now."""

    @property
    def in_flight(self) -> dict[str, Delivery[Prompt]]:
        """What is being sampled, by group id."""

    def submit(self, taken: Delivery[Prompt]) -> RolloutGroup | None:
        """Begin a group; or the group that says why it cannot be sampled."""

    def step(self) -> list[tuple[Delivery[Prompt], RolloutGroup]]:
        """One token for everything in flight; the groups that are finished by it."""

    def load(self, snapshot: Snapshot) -> None:
        """Take new weights; what is in flight goes on under them."""


def run(queue: Queue, engine: Engine, weights: Receiver, stop: threading.Event) -> None:
    """Sample until told to stop."""
    while weights.in_force is None and not stop.is_set():
        take_newest(engine, weights)  # before the first prompt is read: nothing waits on us yet
        stop.wait(0.05)
    while not stop.is_set():
        idle = not engine.in_flight
        taken = queue.read("prompts", Prompt, engine.free_groups, block=idle)
        take_newest(engine, weights)
        for delivery in taken:
            hand_on(queue, delivery, engine.submit(delivery))
        for delivery, group in engine.step():
            hand_on(queue, delivery, group)
        queue.renew("prompts", engine.in_flight.values())
        observe(engine)
    queue.release("prompts", engine.in_flight.values())


def take_newest(engine: Engine, weights: Receiver) -> None:
    """Put the newest published policy in force; a torn one leaves the old one serving."""
    try:
        manifest = weights.newer()
        if manifest is None:
            return
        snapshot = timed("fetch", lambda: weights.fetch(manifest))
    except (WeightsError, DecodeError) as error:
        metrics.WEIGHTS_REFUSED.inc()
        logger.warning("weights refused, the old ones stay in force: %s", error)
        return
    timed("apply", lambda: engine.load(snapshot))
    metrics.SAMPLER_VERSION.set(snapshot.version)


def timed(part: str, work: Callable[[], T]) -> T:
    """Do the work; its duration becomes a metric."""
    with metrics.WEIGHTS_TAKEN.labels(part).time():
        return work()


def hand_on(queue: Queue, taken: Delivery[Prompt], group: RolloutGroup | None) -> None:
    """Forward a finished group; nothing when another sampler was faster."""
    if group is None or not queue.forward(taken, "rollouts", group):
        return
    for completion in group.completions:
        metrics.COMPLETIONS.labels(completion.finish_reason).inc()
        metrics.TOKENS_SAMPLED.inc(len(completion.token_ids))
        metrics.COMPLETION_TOKENS.observe(len(completion.token_ids))


def observe(engine: Engine) -> None:
    """Gauges of this turn."""
    running = sum(d.message.sampling.group_size for d in engine.in_flight.values())
    metrics.SEQUENCES_RUNNING.set(running)
