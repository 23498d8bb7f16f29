"""The learner: scored groups in, one optimizer step, new weights out, then room for new prompts.

Consumes scored groups, waits for a step's worth of them, is unblocked by the scorer, hands on
weights and then prompts. The order matters: weights are published before the prompts that may be
sampled under them are issued, and groups are acknowledged only once a checkpoint covers them. So
whatever moment it dies at, what is in the newest checkpoint is trained once, and the rest again.
"""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from openrs_core import metrics
from openrs_core.errors import LearningError, StoppedError
from openrs_core.ledger import Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.ring.lease import Lease
from openrs_core.weights import Change, Publisher, Snapshot
from services.learner.admission import Admission, Collected
from services.learner.advantages import advantages
from services.learner.batch import Sequence, token_weights
from services.learner.checkpoints import Checkpoints, Saves, State
from services.learner.evaluation import Evaluation
from services.learner.health import Health
from services.learner.record import Record, Spent
from services.learner.schedule import learning_rate
from services.learner.trainer import StepStats

logger = logging.getLogger(__name__)


class Trainer(Saves, Protocol):
    """What the loop asks of the training step."""

    def train(self, sequences: list[Sequence], lr: float, norm_limit: float) -> StepStats:
        """One optimizer step on the whole batch; none where the gradient's norm is above the
        limit, or something is not finite."""

    def weights(self) -> Snapshot:
        """The policy; `change` counts from here."""

    def change(self) -> Change:
        """What the steps since the last call did to the policy."""

    def close(self) -> None:
        """No more steps will be asked for."""


@dataclass(frozen=True, slots=True)
class Learner:
    """Everything the loop turns."""

    recipe: TrainingRecipe
    trainer: Trainer
    admission: Admission
    evaluation: Evaluation
    publisher: Publisher
    checkpoints: Checkpoints
    record: Record
    lease: Lease
    health: Health


STUCK_SECONDS = 1.0
"""Wait for memory in a full Redis before a checkpoint makes room."""


def run(learner: Learner, policy: Policy, stop: threading.Event) -> Policy:
    """Train from `policy` to the last step, or until told to stop; returns the policy reached."""
    rules, admission = learner.recipe.learner, learner.admission
    learner.record.life(policy)
    admission.resume(policy)  # the publisher has named this policy, before anything is issued
    if policy.version == 0:
        evaluate(learner, policy, stop)  # waited for, like the last: both are of one version
    else:
        evaluate_again(learner, policy)
    while policy.version < rules.steps and not stop.is_set():
        begun = time.monotonic()
        groups = admission.collect(policy, stop)
        if not groups:
            break
        before, policy = policy, step(learner, policy, groups, begun, stop)
        with suppress(StoppedError):  # Redis is away, and we are to stop: the loop ends here
            follow_up(learner, before, policy)
    if policy.version == rules.steps:
        with suppress(StoppedError):
            evaluate(learner, policy, stop)
    finish(learner, policy)
    return policy


def follow_up(learner: Learner, before: Policy, policy: Policy) -> None:
    """After a step: room for new prompts, and a checkpoint when it is time."""
    rules = learner.recipe.learner
    if policy.version < rules.steps:
        learner.admission.issue(policy)  # samplers need not wait for the next collect
    due = policy != before and policy.version % rules.checkpoint_every == 0
    if due or is_stuck(learner):
        checkpoint(learner, policy)
    learner.admission.observe()


def step(
    learner: Learner,
    policy: Policy,
    groups: list[Collected],
    begun: float,
    stop: threading.Event,
) -> Policy:
    """One optimizer step, published and on record; the policy it made. Collecting began `begun`.

    A step that would do harm is not made: the policy is the same then, and nothing is published.
    """
    rules, collected = learner.recipe.learner, time.monotonic()
    lr = learning_rate(policy.version, rules)
    stats = learner.trainer.train(sequences(groups, learner.recipe), lr, learner.health.limit)
    if stats.skipped:
        skip(learner, policy, groups, stats)
        return policy
    learner.health.made(stats)
    trained = time.monotonic()
    policy = Policy(policy.incarnation, policy.version + 1)
    learner.admission.settle(groups)
    change = difference(learner)
    spent = Spent(collected - begun, trained - collected, time.monotonic() - trained)
    learner.lease.confirm()  # a fenced learner leaves the run's directory alone
    learner.record.step(policy, groups, stats, lr, spent)  # before a checkpoint could hold it
    with suppress(StoppedError):  # the next life names what its checkpoint holds
        publish(learner, policy, change, stop)  # sent beside what follows
    if learner.evaluation.due(policy.version) and policy.version < rules.steps:
        learner.evaluation.begin(policy, time.time())
    return policy


def skip(learner: Learner, policy: Policy, groups: list[Collected], stats: StepStats) -> None:
    """Let go of the groups of a step that was not made.

    Raises:
        LearningError: it was one too many in a row.
    """
    reason = learner.health.skipped(stats)
    logger.warning(
        "the step from version %d is skipped, its %d groups end as failed: %s",
        policy.version,
        len(groups),
        reason,
    )
    learner.admission.settle(groups, "failed")
    learner.record.skipped(policy, groups, stats, reason)
    if learner.health.is_over:
        newest = learner.checkpoints.newest()
        raise LearningError(learner.health.verdict(reason, newest))


def sequences(groups: list[Collected], recipe: TrainingRecipe) -> list[Sequence]:
    """The batch of a step: every completion with its advantage and its tokens' weight."""
    rules = recipe.learner
    drawn = [collected.group.rollout.completions for collected in groups]
    gains = advantages(
        [[s.reward for s in collected.group.scores] for collected in groups], rules.advantage_scale
    )
    lengths = [[len(completion.token_ids) for completion in group] for group in drawn]
    weights = token_weights(lengths, rules.aggregation, recipe.sampler.max_tokens)
    return [
        Sequence(
            prompt=collected.group.rollout.prompt.token_ids,
            completion=completion.token_ids,
            behaviour_logprobs=completion.behaviour_logprobs,
            advantage=gain,
            weight=weight,
        )
        for collected, group, row, shares in zip(groups, drawn, gains, weights, strict=True)
        for completion, gain, weight in zip(group, row, shares, strict=True)
    ]


def difference(learner: Learner) -> Change:
    """What the step changed, once the version before is on its way no more (or Redis is full)."""
    with metrics.PUBLISH_SECONDS.labels("difference").time():
        change = learner.trainer.change()
    with metrics.PUBLISH_SECONDS.labels("wait").time(), suppress(StoppedError):
        while not learner.publisher.drain(STUCK_SECONDS) and not learner.publisher.is_stuck:
            pass
    return change


def publish(learner: Learner, policy: Policy, change: Change, stop: threading.Event) -> None:
    """Hand over what the step changed; it becomes visible while the loop goes on."""
    while not learner.publisher.drain(STUCK_SECONDS):
        if stop.is_set():
            return
        if learner.publisher.is_stuck:
            checkpoint(learner, policy)
    learner.publisher.publish(policy, change)
    note_published(learner)


def is_stuck(learner: Learner) -> bool:
    """Is Redis full? A checkpoint lets go of what was trained, which makes room."""
    return learner.admission.is_stuck or learner.publisher.is_stuck


def note_published(learner: Learner) -> None:
    """Record what became visible since the last look."""
    for manifest in learner.publisher.finished():
        learner.record.published(manifest)


def finish(learner: Learner, policy: Policy) -> None:
    """Leave nothing on its way: a last checkpoint, the last weights visible and on record.

    Redis may be full, or away: then what is in the checkpoint is published by the next life.
    """
    checkpoint(learner, policy)
    while not learner.publisher.drain(STUCK_SECONDS) and not learner.publisher.is_stuck:
        pass
    note_published(learner)


def evaluate(learner: Learner, policy: Policy, stop: threading.Event) -> None:
    """Evaluate this policy and wait for the result."""
    if learner.evaluation.due(policy.version):
        learner.evaluation.begin(policy, time.time())
    if policy.version < learner.recipe.learner.steps:
        learner.admission.issue(policy, alone=True)  # training's prompts right behind
    learner.admission.await_evaluation(policy, stop)


def evaluate_again(learner: Learner, policy: Policy) -> None:
    """Begin anew the evaluation that an earlier life of the learner did not bring to its end."""
    due = policy.version - policy.version % learner.recipe.evaluation.every
    last = policy.version == learner.recipe.learner.steps  # that one is made in any case
    if learner.evaluation.due(due) and not last and not learner.record.has_evaluated(due):
        learner.evaluation.begin(policy, time.time())


def checkpoint(learner: Learner, policy: Policy) -> None:
    """Write a checkpoint, then acknowledge what it covers."""
    learner.lease.confirm()
    state = State(
        version=policy.version,
        incarnation=policy.incarnation,
        fingerprint=learner.recipe.fingerprint,
        ledger=learner.admission.ledger.state(),
        health=learner.health.state(),
    )
    learner.checkpoints.save(learner.trainer, state)
    learner.admission.checkpointed()
