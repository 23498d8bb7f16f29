"""Is learning well? Which gradient norms are usual, and how many steps in a row were skipped."""

import math
from pathlib import Path
from typing import Any

from openrs_core.recipe.learner import LearnerSection
from services.learner.step import StepStats

SHARE = 0.1
"""What the newest step counts in the moving average: it looks back about ten steps."""

SETTLING_STEPS = 5
"""Steps before the average is good enough to judge by; the first ones differ most."""


class Health:
    """What steps were like, and what the next may be like."""

    def __init__(self, rules: LearnerSection) -> None:
        self._rules = rules
        self._average = 0.0
        """Moving average of the gradient norms of the steps that were made."""
        self._made = 0
        self._in_a_row = 0

    @property
    def limit(self) -> float:
        """A step with a gradient norm above this is a spike; infinite: none is."""
        if not self._rules.spike_factor or self._made < SETTLING_STEPS or not self._average:
            return math.inf
        return self._rules.spike_factor * self._average

    def made(self, stats: StepStats) -> None:
        """A step was made."""
        share = SHARE if self._made else 1.0
        self._average += share * (stats.grad_norm - self._average)
        self._made += 1
        self._in_a_row = 0

    def skipped(self, stats: StepStats) -> str:
        """A step was skipped; why, in words."""
        self._in_a_row += 1
        if stats.skipped == "loss":
            return f"the loss is {stats.loss}"
        if stats.skipped == "gradient":
            return "the gradient is not finite"
        norm, average = stats.grad_norm, self._average
        ratio = norm / average if average else math.inf
        return f"gradient norm {norm:.4g} is {ratio:.3g} times its moving average {average:.4g}"

    @property
    def is_over(self) -> bool:
        """Were too many steps in a row skipped?"""
        return self._in_a_row >= self._rules.most_skipped

    def verdict(self, reason: str, newest: Path | None) -> str:
        """What to tell a person when it is over: why, and what to do from the newest checkpoint."""
        good = f"the newest good checkpoint is {newest}" if newest else "no checkpoint is there yet"
        start = f" from model.path = {newest / 'model'}" if newest else ""
        return (
            f"{reason}; {self._in_a_row} steps in a row were skipped (learner.most_skipped = "
            f"{self._rules.most_skipped}); {good}. Begin a new run{start} with a lower learner.lr "
            f"(now {self._rules.lr:g}) or a higher learner.spike_factor (now "
            f"{self._rules.spike_factor:g}); --resume tries the same again"
        )

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"average": self._average, "made": self._made, "in_a_row": self._in_a_row}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._average = state["average"]
        self._made, self._in_a_row = state["made"], state["in_a_row"]
