"""The sampler: prompts in, rollout groups out.

Consumes prompts, waits for a prompt, a free slot or a prompt's weights, is unblocked by the learner
issuing or publishing, hands on rollouts. Weights come in beside the sampling; the loop takes those
that are ready between two steps of the engine. A prompt is held until the policy it was issued
under is in force, so none is ever sampled under older weights; one whose policy does not come is
buried in the end, and the learner misses its group and sends it again.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from openrs_core import metrics
from openrs_core.ledger import Policy
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.queue import MOST_DELIVERIES, Delivery, Queue
from openrs_core.weights import Receiver, Update
from openrs_core.weights.route import is_newer
from openrs_core.wire.messages import Prompt, RolloutGroup

HELD_SECONDS = 0.05
"""Longest wait for weights when there is nothing else to do; then prompts are looked for again."""


HELD_TOO_LONG_SECONDS = 600.0
"""A prompt is held so long at most. Weights are on their way before a prompt is, so after this it
names a policy that was never published, or one that this sampler will not get."""


@dataclass(frozen=True, slots=True)
class Held:
    """A prompt that may have to wait for its weights."""

    taken: Delivery[Prompt]
    since: float = field(default_factory=time.monotonic)


class Engine(Protocol):
    """What samples: requests go in, finished groups come out, weights change in between."""

    @property
    def free_completions(self) -> int:
        """How many more completions it can sample at once."""

    @property
    def in_flight(self) -> dict[str, Delivery[Prompt]]:
        """What is being sampled, by group id."""

    def submit(self, taken: Delivery[Prompt]) -> RolloutGroup | None:
        """Begin a group; or the group that says why it cannot be sampled."""

    def step(self) -> list[tuple[Delivery[Prompt], RolloutGroup]]:
        """One token for everything in flight; the groups that are finished by it."""

    def load(self, update: Update) -> None:
        """Put an update in force; what is in flight goes on under it."""


def run(queue: Queue, engine: Engine, weights: Receiver, stop: threading.Event) -> None:
    """Sample until told to stop."""
    held: list[Held] = []
    while weights.in_force is None and not stop.is_set():
        put_in_force(engine, weights, HELD_SECONDS)  # before a prompt is read: nothing waits on us
    while not stop.is_set():
        held += take(queue, engine, held)
        put_in_force(engine, weights)
        held = [each for each in held if not begin(queue, engine, weights, each)]
        if held and not engine.in_flight:
            put_in_force(engine, weights, HELD_SECONDS)
        for delivery, group in engine.step():
            hand_on(queue, delivery, group)
        queue.renew("prompts")
        observe(engine, len(held))
    queue.release("prompts")


def take(queue: Queue, engine: Engine, held: Sequence[Held]) -> list[Held]:
    """Prompts for what the engine has free; waits for the first when there is nothing else to do.

    One at a time, because only a prompt itself says how many completions it asks for: so no more
    is claimed than can be sampled, but for the rest of the last group.
    """
    taken: list[Held] = []
    free = engine.free_completions - completions_of(each.taken for each in held)
    seconds = 0.0 if engine.in_flight or held else BLOCK_SECONDS
    while free > 0 and (found := queue.read("prompts", Prompt, 1, seconds)):
        taken += map(Held, found)
        free, seconds = free - completions_of(found), 0.0
    return taken


def put_in_force(engine: Engine, weights: Receiver, seconds: float = 0.0) -> None:
    """Put every policy that is ready in force, in order; waits so long for the first."""
    for update in weights.take(seconds):
        begun = time.monotonic()
        engine.load(update)
        spent = time.monotonic() - begun
        weights.note(update, spent)
        metrics.WEIGHTS_TAKEN.labels("apply").observe(spent)
        metrics.SAMPLER_VERSION.set(update.policy.version)


def begin(queue: Queue, engine: Engine, weights: Receiver, held: Held) -> bool:
    """Begin a prompt's group, unless its weights are still on their way."""
    taken = held.taken
    prompt = taken.message
    policy = Policy(prompt.incarnation, prompt.issued_version)
    if taken.times > MOST_DELIVERIES:
        hand_on(queue, taken, given_up(taken))
    elif twin := engine.in_flight.get(prompt.group_id):  # sent again while it was being sampled
        queue.ack("prompts", [twin])
        engine.in_flight[prompt.group_id] = taken
    elif prompt.purpose == "eval" and is_over(policy, weights.in_force):
        queue.ack("prompts", [taken])  # of a life that is over: nobody can answer it, or waits
    elif not is_newer(policy, weights.in_force):
        hand_on(queue, taken, engine.submit(taken))
    elif time.monotonic() - held.since > HELD_TOO_LONG_SECONDS:
        name = f"{policy.incarnation}:{policy.version}"
        queue.refuse(taken, f"policy {name} did not come in {HELD_TOO_LONG_SECONDS:.0f} s")
    else:
        return False
    return True


def is_over(policy: Policy, in_force: Policy | None) -> bool:
    """Can samplers no longer answer for this policy, since they have a later one?"""
    return in_force is not None and is_newer(in_force, policy) and not in_force.is_same(policy)


def given_up(taken: Delivery[Prompt]) -> RolloutGroup:
    """The group of a prompt that killed those who had it."""
    failure = f"handed out {taken.times} times: those who had it before died"
    return RolloutGroup(prompt=taken.message, completions=(), sampler="", failure=failure)


def hand_on(queue: Queue, taken: Delivery[Prompt], group: RolloutGroup | None) -> None:
    """Forward a finished group; nothing when another sampler was faster."""
    if group is None or not queue.forward(taken, "rollouts", group):
        return
    for completion in group.completions:
        metrics.COMPLETIONS.labels(completion.finish_reason).inc()
        metrics.TOKENS_SAMPLED.inc(len(completion.token_ids))
        metrics.COMPLETION_TOKENS.observe(len(completion.token_ids))


def observe(engine: Engine, held: int) -> None:
    """Gauges of this turn."""
    metrics.PROMPTS_HELD.set(held)
    metrics.SEQUENCES_RUNNING.set(completions_of(engine.in_flight.values()))


def completions_of(taken: Iterable[Delivery[Prompt]]) -> int:
    """How many completions these prompts ask for."""
    return sum(delivery.message.sampling.group_size for delivery in taken)
