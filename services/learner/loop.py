"""The learner: scored groups in, one optimizer step, new weights out, then room for new prompts.

Consumes scored groups, waits for a step's worth of them, is unblocked by the scorer, hands on
weights and then prompts. The order matters: weights are published before the prompts that may be
sampled under them are issued, and groups are acknowledged only once a checkpoint covers them. So
whatever moment it dies at, what is in the newest checkpoint is trained once, and the rest again.
While a policy is evaluated, newer ones are withheld (see `outlet`).
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from openrs_core import metrics
from openrs_core.errors import LearningError, StoppedError
from openrs_core.ledger import Policy
from openrs_core.recipe.learner import LearnerSection
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.checkpoint import OPTIMIZER, State
from openrs_core.record.lines import Spent
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.lease import Lease
from openrs_core.weights import Change
from services.learner.admission import Admission, Collected
from services.learner.algorithm.entropy import EntropyWeight
from services.learner.algorithm.schedule import learning_rate
from services.learner.algorithm.sequences import sequences
from services.learner.checkpoints import Checkpoints, Saves
from services.learner.health import Health
from services.learner.outlet import Outlet, Weights
from services.learner.recorder import Recorder
from services.learner.step import Sequence, StepStats

logger = logging.getLogger(__name__)

PUBLISHING_SECONDS = 0.01
"""Longest wait for groups while the newest policy is on its way: once it is visible there may be
room for prompts."""


class Trainer(Saves, Weights, Protocol):
    """What the loop asks of the training step."""

    def train(
        self, sequences: list[Sequence], lr: float, norm_limit: float, entropy_weight: float
    ) -> StepStats:
        """One optimizer step on the whole batch; none where the gradient's norm is above the
        limit, or something is not finite."""

    def reset_reference(self) -> None:
        """The policy becomes the reference of the KL."""

    def close(self) -> None:
        """No more steps will be asked for."""


@dataclass(kw_only=True, slots=True)
class Learner:
    """Turns groups into steps; `restore`, then `run`."""

    recipe: TrainingRecipe
    trainer: Trainer
    admission: Admission
    outlet: Outlet
    checkpoints: Checkpoints
    recorder: Recorder
    lease: Lease
    health: Health
    stop: threading.Event
    reached: Policy = field(default=Policy(0, 0), init=False)
    """The newest policy: that of the checkpoint it began with, and the steps made since."""
    entropy: EntropyWeight = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the recipe's weight of entropy."""
        self.entropy = EntropyWeight(self.recipe.algorithm)

    def restore(self, incarnation: int) -> None:
        """Begin a new life: from the newest checkpoint, or from the base model.

        Raises:
            RunError: the newest checkpoint is of another recipe, another model or another openrs.
        """
        self.reached = Policy(incarnation, 0)
        if (newest := self.checkpoints.newest()) is None:
            return
        state = self.checkpoints.load(newest, self.recipe.fingerprint)
        self.trainer.load(newest / OPTIMIZER)
        self.reached = Policy(incarnation, state.version)
        self.admission.restore(state, self.reached)
        self.health.restore(state.health)
        self.entropy.restore(state.algorithm["entropy"])
        logger.info("resumed at step %d from %s", state.version, newest)

    def run(self) -> None:
        """Train from the policy reached to the last step, or until told to stop."""
        try:
            self._begin()
            while not (self.is_done or self.stop.is_set()):
                begun = time.monotonic()
                if groups := self._collect():
                    before = self.reached
                    self._step(groups, begun)
                    self._follow_up(before)
            if self.is_done:
                self._end()
        except StoppedError as error:  # Redis is away, and we are to stop
            logger.info("%s", error)
        self._finish()

    @property
    def is_done(self) -> bool:
        """Is the last step made?"""
        return self.reached.version >= self._rules.steps

    @property
    def is_full(self) -> bool:
        """Is Redis full? A checkpoint lets go of what was trained, which makes room."""
        return self.admission.issuer.is_full or self.outlet.publisher.is_full

    # --- beginning and end -----------------------------------------------------------------------

    def _begin(self) -> None:
        """Take up what an earlier life left; know how good the base model is before the first step.

        That is waited for, so that no crash can come between.
        """
        self.recorder.life(self.reached)
        self.admission.issuer.resume(self.reached.incarnation)  # its policy is named already
        self.outlet.begin(self.reached)
        if self.reached.version == 0:
            self._await_evaluation()

    def _end(self) -> None:
        """Evaluate the last policy, once it is published."""
        self._await_evaluation()  # of an earlier one
        if not self.stop.is_set():
            self.outlet.evaluate()
            self._await_evaluation()

    def _await_evaluation(self) -> None:
        """Do nothing else until the policy that is evaluated is, and the newest handed over."""
        while self.outlet.is_pinned or self.outlet.is_behind(self.reached):
            if self.stop.is_set():
                return
            self._exchange(alone=True)

    def _finish(self) -> None:
        """Leave nothing on its way: a last checkpoint, the last weights visible and on record.

        Redis may be full, or away: then what is in the checkpoint is published by the next life.
        """
        self._checkpoint()
        self.outlet.drained()
        self._note()

    # --- a step ----------------------------------------------------------------------------------

    def _collect(self) -> list[Collected]:
        """Wait for the groups of the next step; none when told to stop."""
        while not self.stop.is_set():
            if groups := self.admission.take(self.reached):
                return groups
            self._exchange()
        return []

    def _exchange(self, *, alone: bool = False) -> None:
        """Prompts out, groups in; `alone`: an evaluation need not leave room for training."""
        published = self.outlet.publisher.published
        self.admission.issue(self.reached, published, alone=alone)
        seconds = BLOCK_SECONDS if self.outlet.is_visible else PUBLISHING_SECONDS
        self.admission.read(self.reached, seconds)
        self._note()

    def _step(self, groups: list[Collected], begun: float) -> None:
        """One optimizer step, on record and published. Collecting its groups began `begun`.

        A step that would do harm is not made: the policy stays, and nothing is published. Neither
        is it while an older policy is evaluated.
        """
        collected, lr = time.monotonic(), learning_rate(self.reached.version, self._rules)
        batch = sequences([each.group for each in groups], self.recipe)
        stats = self.trainer.train(batch, lr, self.health.limit, self.entropy.weight)
        self.health.compare(stats, max(each.staleness for each in groups))
        if stats.skipped:
            self._skip(groups, stats)
            return
        trained = time.monotonic()
        self.reached = Policy(self.reached.incarnation, self.reached.version + 1)
        self._made(groups, stats)
        change = None if self.outlet.is_pinned else self.outlet.change()
        spent = Spent(
            collect=collected - begun,
            train=trained - collected,
            publish=time.monotonic() - trained,
        )
        self.lease.confirm()  # a fenced learner leaves the run's directory alone
        scored = self.admission.scored
        self.recorder.step(self.reached, groups, stats, scored, spent)  # before a checkpoint does
        if change is not None:
            self._publish(change)

    def _made(self, groups: list[Collected], stats: StepStats) -> None:
        """A step was made: what the next one will be like depends on it."""
        self.health.made(stats)
        self.entropy.made(stats.entropy)
        every = self.recipe.algorithm.reference_reset_every
        if every and self.reached.version % every == 0:
            self.trainer.reset_reference()
            logger.info("the policy of step %d is the new reference", self.reached.version)
        self.admission.settle(groups)

    def _skip(self, groups: list[Collected], stats: StepStats) -> None:
        """Let go of the groups of a step that was not made.

        Raises:
            LearningError: it was one too many in a row.
        """
        reason = self.health.skipped(stats)
        logger.warning(
            "the step from version %d is skipped, its %d groups end as failed: %s",
            self.reached.version,
            len(groups),
            reason,
        )
        self.admission.settle(groups, "failed")
        self.recorder.skipped(self.reached, groups, stats, reason)
        if self.health.is_over:
            raise LearningError(self.health.verdict(reason, self.checkpoints.newest()))

    def _follow_up(self, before: Policy) -> None:
        """After a step: room for new prompts, and a checkpoint when it is time."""
        if self.outlet.is_pinned:
            self.admission.read(self.reached, 0.0)  # an evaluation waits for more than groups
        published = self.outlet.publisher.published
        self.admission.issue(self.reached, published)  # rather than with the next
        is_made = self.reached != before
        if self.is_full or (is_made and self.reached.version % self._rules.checkpoint_every == 0):
            self._checkpoint()
        self._note()

    # --- weights and records ---------------------------------------------------------------------

    def _publish(self, change: Change) -> None:
        """Hand over what the steps changed; it becomes visible while the loop goes on."""
        while not self.outlet.drained():
            if self.stop.is_set():  # the next life names what its checkpoint holds
                return
            self._checkpoint()
        self.outlet.hand_over(self.reached, change)

    def _checkpoint(self) -> None:
        """Write a checkpoint, then acknowledge what it covers."""
        self.lease.confirm()
        gate = self.admission.state()
        state = State(
            version=self.reached.version,
            incarnation=self.reached.incarnation,
            fingerprint=self.recipe.fingerprint,
            ledger=gate["ledger"],
            prompts=gate["prompts"],
            health=self.health.state(),
            algorithm=gate["algorithm"] | {"entropy": self.entropy.state()},
        )
        self.checkpoints.save(self.trainer, state)
        self.admission.issuer.acknowledge()

    def _note(self) -> None:
        """Put on record what was evaluated and published since the last look, and publish what
        waited for it; set the gauges."""
        self.outlet.note()
        if self.outlet.is_behind(self.reached):
            self._publish(self.outlet.change())
        self.admission.observe()
        metrics.REDIS_FULL.set(self.is_full)

    @property
    def _rules(self) -> LearnerSection:
        return self.recipe.learner
