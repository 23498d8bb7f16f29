"""The ledger: every issued group, and how it ended. Pure: no clock, no I/O.

Words: S = max_staleness, B = groups_per_step, v = the learner's version (steps made so far).
A token's staleness when step v is made is the distance, in optimizer steps, between the learner
and the policy that sampled it. The ledger keeps three promises:

    I1  memory        in flight <= (S + 1) * B
    I2  staleness     no token is trained on whose staleness exceeds S
    I3  conservation  issued = trained + zero_signal + stale + failed + in flight

How I2 is kept without throwing work away (`on_straggler="wait"`). Each group has a deadline: the
last version at which it may still be trained. Before it arrives the deadline is `issued_version
+ S`, because a sampler reads prompts before it looks for weights, so no token can be older than
what was published at issue. `take` serves the earliest deadlines first, and lets a step go only
if afterwards every later step could still serve all that falls due by then:

    for every d in v .. v + S:   outstanding groups with deadline <= d   <=   (d - v) * B

`room` admits no group that would break this. So a slow group is waited for early enough, and a
step always has exactly B groups, however younger groups overtake. `on_straggler="drop"` does not
wait: what would miss its deadline ends as stale and its prompt is issued again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from openrs_core.errors import ProtocolError

End = Literal["trained", "zero_signal", "stale", "failed"]
ENDS: tuple[End, ...] = ("trained", "zero_signal", "stale", "failed")
OnStraggler = Literal["wait", "drop"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Which weights: the version within one life of the learner."""

    incarnation: int
    version: int

    def is_same(self, other: "Policy") -> bool:
        """Are these the same weights for sure? Version 0 is the base model in every life."""
        return self == other or self.version == other.version == 0


@dataclass(frozen=True, slots=True)
class Lineage:
    """From which version each later life of the learner started."""

    branches: Mapping[int, int] = field(default_factory=dict)
    """incarnation -> the checkpoint's version it resumed from."""

    def distance(self, policy: Policy, reached: Policy) -> int:
        """Optimizer steps between two policies, through their common ancestor.

        Across incarnations that is (policy - ancestor) + (learner - ancestor).
        """
        later = range(policy.incarnation + 1, reached.incarnation + 1)
        ancestor = min([policy.version, *(self.branches.get(number, 0) for number in later)])
        if not later:
            return abs(reached.version - policy.version)
        return (policy.version - ancestor) + (reached.version - ancestor)


@dataclass(frozen=True, slots=True)
class Issued:
    """A group in flight."""

    group_id: str
    position: int
    """Its place in the data order."""
    policy: Policy
    """Newest policy published when it was issued."""


class Ledger:
    """Which groups are in flight, which have arrived, how the others ended."""

    def __init__(
        self, max_staleness: int, groups_per_step: int, on_straggler: OnStraggler = "wait"
    ) -> None:
        self.max_staleness, self.groups_per_step = max_staleness, groups_per_step
        self.on_straggler = on_straggler
        self.lineage = Lineage()
        self.in_flight: dict[str, Issued] = {}
        self.issued = 0
        self.ended: Counter[str] = Counter({end: 0 for end in ENDS})
        self.cursor = 0
        """Next place in the data order that was never issued."""
        self.again: list[int] = []
        """Places to issue anew, because their group ended as stale."""
        self._arrived: dict[str, int] = {}  # group id -> deadline, in order of arrival

    # --- issue -----------------------------------------------------------------------------

    def room(self, reached: Policy, published: Policy) -> int:
        """Groups that may be issued now, with `published` the newest weights samplers can see."""
        due = self._deadline(published, reached)
        last = reached.version + self.max_staleness
        slack = [self._capacity(d, reached) - self._outstanding(d, reached)
                 for d in range(due, last + 1)]  # fmt: skip
        budget = (self.max_staleness + 1) * self.groups_per_step - len(self.in_flight)
        return max(0, min([budget, *slack])) if slack else 0

    def issue(self, published: Policy) -> Issued:
        """Book the next place of the data order as in flight."""
        if self.again:
            position = self.again.pop(0)
        else:
            position, self.cursor = self.cursor, self.cursor + 1
        self.issued += 1
        group = Issued(f"{published.incarnation}.{self.issued}", position, published)
        self.in_flight[group.group_id] = group
        return group

    # --- collect ---------------------------------------------------------------------------

    def arrive(self, group_id: str, made_by: Iterable[Policy], reached: Policy) -> bool:
        """A group with signal has come back; False when it is stale (or was ended before)."""
        if group_id not in self.in_flight or group_id in self._arrived:
            return False
        deadline = min(self._deadline(policy, reached) for policy in made_by)
        if deadline < reached.version:
            self.end(group_id, "stale")
            return False
        self._arrived[group_id] = deadline
        return True

    def end(self, group_id: str, how: End) -> None:
        """A group leaves the flight; its credit returns.

        Raises:
            ProtocolError: it is not in flight.
        """
        group = self.in_flight.pop(group_id, None)
        if group is None:
            raise ProtocolError(f"group {group_id} ended as {how}, but it is not in flight")
        self._arrived.pop(group_id, None)
        self.ended[how] += 1
        if how == "stale":
            self.again.append(group.position)

    def take(self, reached: Policy) -> list[str]:
        """The groups of the step from `reached` to the next version, or none yet.

        They stay in flight until `end(..., "trained")`.
        """
        self._expire(reached)
        chosen = sorted(self._arrived, key=self._arrived.__getitem__)[: self.groups_per_step]
        if len(chosen) < self.groups_per_step:
            return []
        if self.on_straggler == "wait" and self._must_wait(set(chosen), reached):
            return []
        return chosen

    @property
    def awaited(self) -> int:
        """Groups in flight that have not come back."""
        return len(self.in_flight) - len(self._arrived)

    # --- bookkeeping -----------------------------------------------------------------------

    def balance(self) -> dict[str, int]:
        """The terms of I3."""
        return {"issued": self.issued, **self.ended, "in_flight": len(self.in_flight)}

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values, for a checkpoint."""
        return {
            "issued": self.issued,
            "ended": dict(self.ended),
            "cursor": self.cursor,
            "again": list(self.again),
            "branches": {str(number): start for number, start in self.lineage.branches.items()},
            "in_flight": [asdict(group) for group in self.in_flight.values()],
        }

    def restore(self, state: Mapping[str, Any], incarnation: int, version: int) -> None:
        """Continue from a checkpoint's `state` as a new incarnation that starts at `version`.

        What had arrived but was not trained counts as in flight: it will be delivered again.
        """
        self.issued, self.cursor = state["issued"], state["cursor"]
        self.ended, self.again = Counter(state["ended"]), list(state["again"])
        branches = {int(number): start for number, start in state["branches"].items()}
        self.lineage = Lineage({**branches, incarnation: version})
        groups = [
            Issued(item["group_id"], item["position"], Policy(**item["policy"]))
            for item in state["in_flight"]
        ]
        self.in_flight = {group.group_id: group for group in groups}
        self._arrived = {}

    # --- deadlines -------------------------------------------------------------------------

    def _deadline(self, policy: Policy, reached: Policy) -> int:
        """Last version of the learner at which a token of `policy` is within the bound."""
        return reached.version + self.max_staleness - self.lineage.distance(policy, reached)

    def _deadlines(self, reached: Policy) -> dict[str, int]:
        return {
            group_id: self._arrived.get(group_id, self._deadline(group.policy, reached))
            for group_id, group in self.in_flight.items()
        }

    def _capacity(self, deadline: int, reached: Policy) -> int:
        """Groups that the steps from now up to `deadline` can train."""
        return (deadline - reached.version + 1) * self.groups_per_step

    def _outstanding(self, deadline: int, reached: Policy) -> int:
        return sum(due <= deadline for due in self._deadlines(reached).values())

    def _must_wait(self, chosen: set[str], reached: Policy) -> bool:
        """Would this step leave more due than later steps can serve, while waiting would help?"""
        left = {g: due for g, due in self._deadlines(reached).items() if g not in chosen}
        for deadline in range(reached.version, reached.version + self.max_staleness + 1):
            due = [group_id for group_id, last in left.items() if last <= deadline]
            too_many = len(due) > (deadline - reached.version) * self.groups_per_step
            if too_many and any(group_id not in self._arrived for group_id in due):
                return True
        return False

    def _expire(self, reached: Policy) -> None:
        """End what can no longer be trained within the bound."""
        for group_id, due in self._deadlines(reached).items():
            waited_for = self.on_straggler == "wait" and group_id not in self._arrived
            if due < reached.version and not waited_for:
                self.end(group_id, "stale")
