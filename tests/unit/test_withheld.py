"""The ledger's promises while publication is withheld, hunted by random schedules.

Samplers stay at the policy that is evaluated, whenever that begins and however long it takes; the
learner goes on, is stopped by the bound, dies. What the ledger promises holds, and nobody waits for
ever: when the last answer is back, there is a step to make or a prompt to issue.
"""

import copy

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from openrs_core.ledger import Policy
from tests.unit.test_ledger import Ring


class PinnedRing(Ring):
    """Besides what a ring does, evaluations come and go; they need samplers alone."""

    evaluated: Policy | None = None
    left = 0
    """Answers of the evaluation that are not back."""

    @precondition(lambda self: self.evaluated is None and self.published == self.learner)
    @rule(answers=st.integers(1, 6))
    def begin_evaluation(self, answers: int) -> None:
        self.evaluated, self.left = self.published, answers

    @precondition(lambda self: self.evaluated is not None)
    @rule()
    def answer(self) -> None:
        """A sampler answers, under the newest policy it can see; the last one sets it free."""
        assert self.published == self.evaluated, "it is of the policy that it is named after"
        self.left -= 1
        if not self.left:
            self.evaluated = None
            self.published = self.learner

    @rule(publish=st.booleans())
    def step(self, publish: bool) -> None:
        super().step(publish and self.evaluated is None)

    @precondition(lambda self: self.evaluated is None)
    @rule()
    def publish(self) -> None:
        self.published = self.learner

    @rule()
    def crash(self) -> None:
        super().crash()
        self.evaluated = None

    @invariant()
    def the_learner_is_ahead_by_no_more_than_the_bound_allows(self) -> None:
        """The last step that the policy's own groups may make is one beyond the bound."""
        if self.evaluated is not None:
            ahead = self.learner.version - self.evaluated.version
            assert ahead <= self.ledger.max_staleness + 1

    @invariant()
    def when_the_evaluation_is_over_the_ring_turns(self) -> None:
        """With all groups back: whatever the learner waits for, the end of the evaluation gives."""
        if self.evaluated is not None and not self.away:
            ledger = copy.deepcopy(self.ledger)
            assert ledger.take(self.learner) or ledger.room(self.learner, self.learner)


class DroppingPinnedRing(PinnedRing):
    on_straggler = "drop"


_EFFORT = settings(
    max_examples=150, stateful_step_count=60, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
TestPinnedLedger = PinnedRing.TestCase
TestPinnedLedger.settings = _EFFORT
TestDroppingPinnedLedger = DroppingPinnedRing.TestCase
TestDroppingPinnedLedger.settings = _EFFORT
