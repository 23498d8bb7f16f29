"""The ledger's three promises, hunted by random schedules.

The machine plays sampler, scorer and learner: groups are sampled late or early, by any version
published since they were issued, overtake each other, fail, carry no signal; weights may be
published late; the learner may restart from a checkpoint.
"""

import copy

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from openrs_core.errors import ProtocolError
from openrs_core.ledger import ENDS, Ledger, Lineage, Policy


class Ring(RuleBasedStateMachine):
    """One run, as the ledger sees it; its own account of staleness is kept beside the ledger's."""

    on_straggler = "wait"

    @initialize(staleness=st.integers(0, 4), groups=st.integers(1, 5))
    def start(self, staleness: int, groups: int) -> None:
        self.ledger = Ledger(staleness, groups, self.on_straggler)
        self.learner, self.published = Policy(1, 0), Policy(1, 0)
        self.away: dict[str, Policy] = {}  # issued, not yet back: newest policy at issue
        self.checkpoint = (copy.deepcopy(self.ledger.state()), self.learner)
        self.trained_positions: list[int] = []
        self.old_versions: dict[int, int] = {}  # incarnation -> its last version

    @rule(wanted=st.integers(1, 12))
    def issue(self, wanted: int) -> None:
        for _ in range(min(wanted, self.ledger.room(self.learner, self.published))):
            group = self.ledger.issue(self.published)
            self.away[group.group_id] = self.published

    @precondition(lambda self: self.away)
    @rule(data=st.data(), fate=st.sampled_from(["signal", "signal", "signal", "zero", "failed"]))
    def come_back(self, data: st.DataObject, fate: str) -> None:
        """Any group, in any order, sampled under any policy published since its issue."""
        group_id = data.draw(st.sampled_from(sorted(self.away)))
        issued = self.away.pop(group_id)
        if fate == "zero":
            self.ledger.end(group_id, "zero_signal")
        elif fate == "failed":
            self.ledger.end(group_id, "failed")
        else:
            newest = self.old_versions.get(issued.incarnation, self.published.version)
            version = data.draw(st.integers(issued.version, max(newest, issued.version)))
            self.ledger.arrive(group_id, [Policy(issued.incarnation, version)], self.learner)
            self.made = {**getattr(self, "made", {}), group_id: Policy(issued.incarnation, version)}

    @rule(publish=st.booleans())
    def step(self, publish: bool) -> None:
        chosen = self.ledger.take(self.learner)
        if not chosen:
            return
        assert len(chosen) == self.ledger.groups_per_step
        for group_id in chosen:
            distance = self.ledger.lineage.distance(self.made[group_id], self.learner)
            assert distance <= self.ledger.max_staleness
            self.trained_positions.append(self.ledger.in_flight[group_id].position)
            self.ledger.end(group_id, "trained")
        self.learner = Policy(self.learner.incarnation, self.learner.version + 1)
        if publish:
            self.published = self.learner
        self.away = {g: p for g, p in self.away.items() if g in self.ledger.in_flight}

    @rule()
    def publish(self) -> None:
        self.published = self.learner

    @rule()
    def save(self) -> None:
        self.checkpoint = (copy.deepcopy(self.ledger.state()), self.learner)
        self.saved_positions = list(self.trained_positions)

    @rule()
    def crash(self) -> None:
        """The learner dies and resumes; everything the checkpoint knew as in flight comes back."""
        state, saved = self.checkpoint
        self.old_versions[self.learner.incarnation] = self.published.version
        restored = Ledger(self.ledger.max_staleness, self.ledger.groups_per_step, self.on_straggler)
        restored.restore(state, self.learner.incarnation + 1, saved.version)
        self.ledger = restored
        self.learner = self.published = Policy(self.learner.incarnation + 1, saved.version)
        self.away = {g.group_id: g.policy for g in restored.in_flight.values()}
        self.trained_positions = list(getattr(self, "saved_positions", []))
        self.checkpoint = (copy.deepcopy(self.ledger.state()), self.learner)

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "ledger"):
            bound = (self.ledger.max_staleness + 1) * self.ledger.groups_per_step
            assert len(self.ledger.in_flight) <= bound

    @invariant()
    def every_group_is_accounted_for(self) -> None:
        if hasattr(self, "ledger"):
            balance = self.ledger.balance()
            assert balance.pop("issued") == sum(balance.values())

    @invariant()
    def no_place_is_trained_twice(self) -> None:
        if hasattr(self, "ledger"):
            assert len(set(self.trained_positions)) == len(self.trained_positions)

    @invariant()
    def the_ring_never_stands_still(self) -> None:
        """With everything back and published, there is a step to make or a prompt to issue."""
        if hasattr(self, "ledger") and not self.away and self.published == self.learner:
            ledger = copy.deepcopy(self.ledger)
            assert ledger.take(self.learner) or ledger.room(self.learner, self.published)

    @invariant()
    def nothing_is_thrown_away_while_waiting(self) -> None:
        if hasattr(self, "ledger") and self.on_straggler == "wait" and not self.old_versions:
            assert self.ledger.ended["stale"] == 0


class DroppingRing(Ring):
    on_straggler = "drop"


_EFFORT = settings(
    max_examples=150, stateful_step_count=60, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
TestWaitingLedger = Ring.TestCase
TestWaitingLedger.settings = _EFFORT
TestDroppingLedger = DroppingRing.TestCase
TestDroppingLedger.settings = _EFFORT


def test_on_policy_waits_for_every_group_of_the_version():
    """With a bound of 0 a second step cannot begin before the new weights' own groups are back."""
    ledger = Ledger(max_staleness=0, groups_per_step=2)
    now = Policy(1, 0)
    first, second = (ledger.issue(now) for _ in range(2))
    assert ledger.room(now, now) == 0
    ledger.arrive(first.group_id, [now], now)
    assert ledger.take(now) == []
    ledger.arrive(second.group_id, [now], now)
    assert set(ledger.take(now)) == {first.group_id, second.group_id}


def test_a_straggler_is_waited_for_before_it_would_be_too_old():
    """Younger groups may overtake only while the straggler can still be trained in time."""
    ledger = Ledger(max_staleness=1, groups_per_step=1)
    old = Policy(1, 0)
    slow, quick = ledger.issue(old), ledger.issue(old)
    ledger.arrive(quick.group_id, [old], old)
    assert ledger.take(old) == [quick.group_id]
    ledger.end(quick.group_id, "trained")
    now = Policy(1, 1)
    young = ledger.issue(now)
    ledger.arrive(young.group_id, [now], now)
    assert ledger.take(now) == []
    ledger.arrive(slow.group_id, [old], now)
    assert ledger.take(now) == [slow.group_id]


def test_a_dropped_straggler_is_issued_again():
    """With `drop`, a step goes on; the place of the late group comes first in the next issue."""
    ledger = Ledger(max_staleness=0, groups_per_step=1, on_straggler="drop")
    slow = ledger.issue(Policy(1, 0))
    assert ledger.take(Policy(1, 1)) == []
    assert ledger.ended["stale"] == 1
    assert not ledger.arrive(slow.group_id, [Policy(1, 0)], Policy(1, 1))
    assert ledger.issue(Policy(1, 1)).position == slow.position


def test_a_group_made_by_weights_beyond_the_bound_is_refused():
    ledger = Ledger(max_staleness=1, groups_per_step=1)
    group = ledger.issue(Policy(1, 4))
    assert not ledger.arrive(group.group_id, [Policy(1, 5), Policy(1, 2)], Policy(1, 4))
    assert ledger.ended["stale"] == 1


def test_a_group_cannot_end_twice():
    ledger = Ledger(max_staleness=0, groups_per_step=1)
    group = ledger.issue(Policy(1, 0))
    ledger.end(group.group_id, "failed")
    with pytest.raises(ProtocolError, match="not in flight"):
        ledger.end(group.group_id, "trained")
    assert set(ledger.balance()) == {"issued", "in_flight", *ENDS}


@pytest.mark.parametrize(
    ("policy", "learner", "steps"),
    [
        (Policy(1, 7), Policy(1, 9), 2),
        (Policy(1, 12), Policy(2, 11), 3),  # resumed from 10: 2 back, 1 forth
        (Policy(1, 8), Policy(2, 11), 3),  # older than the checkpoint: a plain ancestor
        (Policy(1, 12), Policy(3, 6), 8),  # 1 was left at 10, 2 at 5: ancestor 5, 7 back, 1 forth
    ],
)
def test_distance_goes_through_the_common_ancestor(policy, learner, steps):
    lineage = Lineage({2: 10, 3: 5})
    assert lineage.distance(policy, learner) == steps
