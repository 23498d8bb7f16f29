"""What samplers get to see of the steps: each policy as it is made, or none for a while.

While a policy is evaluated nothing newer is published. So the evaluation is of that policy and no
other, whichever sampler answers and however often one joins or starts again; training prompts go
out beside it, and the steps go on until the bound on staleness stops them. When the last answer is
back, the newest policy is published in one go: its change is counted from the last published one.

Nobody waits in a circle: an evaluation needs samplers and scorers alone, and the learner waits for
it as it waits for groups.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from openrs_core import metrics
from openrs_core.ledger import Policy
from openrs_core.ring.lease import Lease
from openrs_core.weights import Change, Publisher, Snapshot
from services.issuing.evaluation import Evaluation
from services.learner.best import Best
from services.learner.recorder import Recorder

logger = logging.getLogger(__name__)

FULL_SECONDS = 1.0
"""Wait for memory in a full Redis before a checkpoint makes room."""


class Weights(Protocol):
    """What is asked of the trainer."""

    def weights(self) -> Snapshot:
        """The policy; `change` counts from here."""

    def change(self) -> Change:
        """What the steps since the last call did to the policy."""

    def write_policy(self, policy: Snapshot, directory: Path) -> None:
        """Write a policy, an older one say, as a Hugging Face directory."""


@dataclass(kw_only=True, slots=True)
class Outlet:
    """Policies out; `begin`, then `hand_over` those that `is_behind` asks for."""

    trainer: Weights
    publisher: Publisher
    evaluation: Evaluation
    recorder: Recorder
    best: Best
    lease: Lease
    last: int
    """The version that the run ends with: it is evaluated when everything else is done."""
    handed: Policy = field(default=Policy(0, 0), init=False)
    """The newest policy that was given to the publisher."""

    def begin(self, reached: Policy) -> None:
        """A life begins with this policy; take up what an earlier one left.

        An evaluation that was under way is made again, if this is its policy; the weights of an
        older one are gone.
        """
        self.handed = reached
        for version in self._missing(range(reached.version)):
            self._pass_over(version, "the learner went on from a later step before it was finished")
        if reached.version < self.last and self._missing([reached.version]):
            self.evaluate()

    @property
    def is_pinned(self) -> bool:
        """Is a policy being evaluated, so that no newer one is published?"""
        return self.evaluation.policy is not None

    @property
    def is_visible(self) -> bool:
        """Can samplers see all that they may see now?"""
        return self.publisher.published == self.handed

    def is_behind(self, reached: Policy) -> bool:
        """Is there a newer policy that may be published?"""
        return self.handed != reached and not self.is_pinned

    def change(self) -> Change:
        """What makes the newest policy of the one handed over before, once that is published (or
        Redis is full)."""
        with metrics.PUBLISH_SECONDS.labels("difference").time():
            change = self.trainer.change()
        with metrics.PUBLISH_SECONDS.labels("wait").time():
            self.drained()
        return change

    def drained(self) -> bool:
        """Wait until what was handed over is published; False while Redis is full, or away for
        good because we are to stop."""
        while not self.publisher.drain(FULL_SECONDS):
            metrics.REDIS_FULL.set(self.publisher.is_full)
            if self.publisher.is_full or self.publisher.has_ended:
                return False
        return True

    def hand_over(self, reached: Policy, change: Change) -> None:
        """Publish a policy, and evaluate it if it is its turn; it becomes visible meanwhile."""
        self.publisher.publish(reached, change)
        still = f"version {self.handed.version} was still being evaluated when it was made"
        for version in range(self.handed.version + 1, reached.version):
            if self.evaluation.due(version):
                self._pass_over(version, still)
        self.handed = reached
        if self.evaluation.due(reached.version) and reached.version < self.last:
            self.evaluate()

    def evaluate(self) -> None:
        """Begin to evaluate the policy that was handed over last, if it is its turn."""
        if self.evaluation.due(self.handed.version):
            self.evaluation.begin(self.handed, time.time())

    def note(self) -> None:
        """Put on record what was evaluated and published since the last look.

        What is published still is what was evaluated: its weights are at hand. They are kept
        before the record says so; a crash in between makes the evaluation again.
        """
        if lines := self.evaluation.finished():
            self.lease.confirm()  # a fenced learner leaves the run's directory alone
            self.best.offer(lines, self._write_published)
        for line in lines:
            self.recorder.evaluated(line)
        for manifest in self.publisher.finished():
            self.recorder.published(manifest)
        metrics.EVALUATING.set(self.is_pinned)

    def _write_published(self, directory: Path) -> None:
        self.trainer.write_policy(self.publisher.snapshot, directory)

    def _missing(self, versions: Iterable[int]) -> list[int]:
        """Those whose turn it was and of which the record says nothing."""
        settled = self.recorder.settled()
        return [v for v in versions if self.evaluation.due(v) and v not in settled]

    def _pass_over(self, version: int, why: str) -> None:
        logger.warning("version %d is not evaluated: %s", version, why)
        self.recorder.unevaluated(version, why)
