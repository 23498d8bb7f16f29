"""The accounts of a run, made up again from what was written, without the ledger.

    python -m tests.chaos.audit RUN_DIRECTORY AOF_DIRECTORY

A group id is `life.number`, and the numbers of the final lineage go on from life to life: what a
life issued after the checkpoint that the next one began with has numbers that the next one gave
again. So the lineage holds each number once, and that is what is checked first.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from openrs_core.wire.messages import Prompt, ScoredGroup
from tests.chaos.history import History, Line, lineage, read

Id = tuple[int, int]
"""Life of the learner, number of the group."""


@dataclass
class Accounts:
    """How the groups of the final lineage ended, and what is wrong with them."""

    issued: int = 0
    trained: int = 0
    zero_signal: int = 0
    stale: int = 0
    failed: int = 0
    in_flight: int = 0
    reissued: int = 0
    """Prompts that were sent more than once."""
    void: int = 0
    """Groups of lives whose steps were lost."""
    missing: int = 0
    """Places of the data order that no group of the lineage stands for."""
    twice: int = 0
    """Groups or places that were trained more than once."""
    max_staleness: int = 0
    steps: int = 0
    lives: int = 0
    faults: list[str] = field(default_factory=list)
    """Everything that should not be, in words."""

    @property
    def balanced(self) -> bool:
        """Are the sums equal?"""
        ends = self.trained + self.zero_signal + self.stale + self.failed + self.in_flight
        return self.issued == ends and not self.faults


def audit(history: History) -> Accounts:
    """Make up the accounts of a run."""
    steps, lives = lineage(history.lines), history.of("life")
    found = Accounts(steps=len(steps), lives=len(lives))
    issued = _in_lineage(history.prompts)
    found.issued, found.reissued = len(issued), _repeats(history.prompts)
    found.void = len({p.group_id for p in history.prompts}) - len(issued)
    _check_steps(found, steps)
    _check_numbers(found, issued)
    trained = Counter(g["group_id"] for step in steps for g in step["groups"])
    found.twice += sum(count - 1 for count in trained.values())
    _check_places(found, issued, trained)
    skipped = {g["group_id"] for line in history.of("skipped") for g in line["groups"]}
    ends = _ends(issued, trained, skipped, history)
    for end, count in Counter(ends.values()).items():
        setattr(found, end, count)
    strangers = set(trained) - {prompt.group_id for prompt in issued.values()}
    found.faults += [f"group {name} was trained and never issued" for name in sorted(strangers)]
    _check_staleness(found, steps, lives, history)
    return found


def _id(group_id: str) -> Id:
    life, _, number = group_id.partition(".")
    return int(life), int(number)


def _in_lineage(prompts: Iterable[Prompt]) -> dict[Id, Prompt]:
    """The groups of the final lineage."""
    every = {_id(prompt.group_id): prompt for prompt in prompts}
    first: dict[int, int] = {}
    for life, number in every:
        first[life] = min(number, first.get(life, number))
    return {
        (life, number): prompt
        for (life, number), prompt in every.items()
        if all(number < begin for later, begin in first.items() if later > life)
    }


def _repeats(prompts: list[Prompt]) -> int:
    return len(prompts) - len({prompt.group_id for prompt in prompts})


def _check_steps(found: Accounts, steps: list[Line]) -> None:
    versions = [step["version"] for step in steps]
    if versions != list(range(1, len(steps) + 1)):
        found.faults.append(f"the versions of the lineage are {versions}")


def _check_numbers(found: Accounts, issued: Mapping[Id, Prompt]) -> None:
    numbers = sorted(number for _, number in issued)
    if numbers != list(range(1, len(numbers) + 1)):
        gaps = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
        found.faults.append(f"the numbers of the lineage's groups have gaps or doubles: {gaps}")


def _check_places(found: Accounts, issued: Mapping[Id, Prompt], trained: Counter[str]) -> None:
    places = {prompt.position for prompt in issued.values()}
    found.missing = max(places, default=-1) + 1 - len(places)
    taught = Counter(p.position for p in issued.values() if p.group_id in trained)
    found.twice += sum(count - 1 for count in taught.values())


def _ends(
    issued: Mapping[Id, Prompt], trained: Counter[str], skipped: set[str], history: History
) -> dict[Id, str]:
    """How each group of the lineage ended."""
    last = {prompt.position: key for key, prompt in sorted(issued.items(), key=lambda p: p[0][1])}
    ends = {}
    for key, prompt in issued.items():
        copies = history.scored.get(prompt.group_id, [])
        if prompt.group_id in trained:
            ends[key] = "trained"
        elif last[prompt.position] != key:
            ends[key] = "stale"  # its place was given to another group
        elif prompt.group_id in skipped or any(not copy.scores for copy in copies):
            ends[key] = "failed"
        else:
            ends[key] = "zero_signal" if any(map(_is_flat, copies)) else "in_flight"
    return ends


def _is_flat(group: ScoredGroup) -> bool:
    return len({score.reward for score in group.scores}) == 1


def _check_staleness(
    found: Accounts, steps: list[Line], lives: list[Line], history: History
) -> None:
    begins = {line["incarnation"]: line["version"] for line in lives}
    for step in steps:
        learner = (step["incarnation"], step["version"] - 1)
        for group in step["groups"]:
            copies = history.scored.get(group["group_id"], [])
            same = [copy for copy in copies if _span(copy) == (group["oldest"], group["newest"])]
            if not same:
                found.faults.append(f"step {step['version']}: {group['group_id']} is in no stream")
            if same and all(map(_is_flat, same)):
                found.faults.append(f"step {step['version']}: {group['group_id']} had no signal")
            ages = [_distance(policy, learner, begins) for c in same for policy in _policies(c)]
            found.max_staleness = max([found.max_staleness, *ages])


def _policies(group: ScoredGroup) -> set[Id]:
    return {(r.incarnation, r.version) for c in group.rollout.completions for r in c.policies}


def _span(group: ScoredGroup) -> tuple[list[int], list[int]]:
    made_by = _policies(group) or {(0, 0)}
    return list(min(made_by)), list(max(made_by))


def _distance(policy: Id, learner: Id, begins: Mapping[int, int]) -> int:
    """Optimizer steps from one to the other along the tree of lives."""
    back = [begins[life] for life in begins if policy[0] < life <= learner[0]]
    fork = min([policy[1], learner[1], *back]) if back else min(policy[1], learner[1])
    return (policy[1] - fork) + (learner[1] - fork)


def as_dict(found: Accounts) -> dict[str, object]:
    """For a line of JSON."""
    return {**asdict(found), "balanced": found.balanced}


if __name__ == "__main__":
    accounts = audit(read(Path(sys.argv[1]), Path(sys.argv[2])))
    sys.stdout.write(json.dumps(as_dict(accounts)) + "\n")
    sys.exit(0 if accounts.balanced and not (accounts.missing or accounts.twice) else 1)
