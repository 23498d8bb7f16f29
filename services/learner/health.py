"""Is learning well? Which gradient norms are usual, and how many steps in a row were skipped."""

import math
from pathlib import Path
from typing import Any

from openrs_core.errors import RunError
from openrs_core.recipe.learner import LearnerSection
from services.learner.step import StepStats

SHARE = 0.1
"""What the newest step counts in the moving average: it looks back about ten steps."""

FARTHEST = 0.2
"""Mean |log pi - log mu| up to which sampler and learner may be the same model. Rounding gives 1e-5
in float32 and about 0.01 in bfloat16, an 8-bit sampler some hundredths; another model, or a part of
the model that one of the two leaves out, gives 0.5 and more."""

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
        self._is_compared = False

    def compare(self, stats: StepStats, staleness: int) -> None:
        """Look once, at the first step whose tokens were all drawn by the policy it trained.

        With a learning rate of 0 nothing can be spoilt: then how far they differ is measured.

        Raises:
            RunError: sampler and learner do not compute the same model.
        """
        if self._is_compared or staleness or not self._rules.lr:
            return
        self._is_compared = True
        if stats.log_ratio_mean > FARTHEST:
            raise RunError(
                f"sampler and learner do not compute the same model: mean |log ratio| "
                f"{stats.log_ratio_mean:.3g} over {stats.tokens} tokens that the very policy drew, "
                f"at most {FARTHEST:g} can be rounding; nothing of this step is kept. Do both know "
                "this architecture (model.path), and do all machines have the same files and the "
                "same versions? `openrs drift RECIPE` measures it without training"
            )

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
