"""What all scored groups of the training were like, those without signal included.

A group is counted once, when it leaves the flight: when a step takes it, or when it ends because no
step can be made of it. One that ends as stale is issued again, and counted then.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from openrs_core.record.lines import Scored
from openrs_core.wire.messages import ScoredGroup, Verdict
from services.learner.algorithm.outcome import Outcome


class Tally:
    """Adds groups up into a `Scored`."""

    def __init__(self) -> None:
        self._groups: Counter[str] = Counter()
        self._completions: Counter[Verdict] = Counter()
        self._components: dict[str, float] = defaultdict(float)
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, group: ScoredGroup, outcome: Outcome) -> None:
        """One more."""
        self._groups[outcome] += 1
        for completion, score in zip(group.rollout.completions, group.scores, strict=True):
            self._completions[score.verdict] += 1
            self._sums["tokens"] += len(completion.token_ids)
            self._sums["truncated"] += completion.finish_reason == "length"
            self._sums["language"] += score.language
            if score.is_verified:
                self._sums["verified"] += 1
                self._sums["reward"] += score.reward
                for name, value in score.components.items():
                    self._components[name] += value

    def scored(self) -> Scored:
        """What was added since the beginning."""
        every, verified = self._completions.total(), self._sums["verified"]
        return Scored(
            groups=dict(self._groups),
            completions=dict(self._completions),
            reward=_mean(self._sums["reward"], verified),
            components={name: total / verified for name, total in self._components.items()},
            accuracy=_mean(self._completions["correct"], verified),
            completion_tokens=_mean(self._sums["tokens"], every),
            truncated=_mean(self._sums["truncated"], every),
            language=_mean(self._sums["language"], every),
        )

    def state(self) -> dict[str, Any]:
        """For a checkpoint, as JSON-able values."""
        return {
            "groups": dict(self._groups),
            "completions": dict(self._completions),
            "components": dict(self._components),
            "sums": dict(self._sums),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._groups = Counter(state["groups"])
        self._completions = Counter(state["completions"])
        self._components = defaultdict(float, state["components"])
        self._sums = defaultdict(float, state["sums"])


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None
