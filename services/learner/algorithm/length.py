"""The longest completion of the moment: it grows with the steps, or as fewer are cut off."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from openrs_core.recipe.length import LengthSection


class LengthSchedule:
    """`max_tokens` of the prompts that training issues."""

    def __init__(self, rules: LengthSection, longest: int) -> None:
        """The sampler was started for `longest`."""
        self._rules, self._longest = rules, longest
        self.max_tokens = rules.first or longest
        """For the next prompts."""
        self._steps = 0
        self._shares: list[float] = []
        """Shares of completions that were cut off, of the last steps since it last grew."""

    def made(self, truncated: float) -> bool:
        """A step was made, since the one before this share was cut off. Has the limit grown?"""
        self._steps += 1
        self._shares = [*self._shares, truncated][-self._rules.window :]
        if self._steps not in self._rules.at_steps and not self._is_rare():
            return False
        before, self._shares = self.max_tokens, []
        self.max_tokens = min(self._rules.grown(before), self._longest)
        return self.max_tokens > before

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"max_tokens": self.max_tokens, "steps": self._steps, "shares": self._shares}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.max_tokens, self._steps = state["max_tokens"], state["steps"]
        self._shares = list(state["shares"])

    def _is_rare(self) -> bool:
        """Are few completions cut off, in the mean over a whole window?"""
        return len(self._shares) == self._rules.window and fmean(self._shares) < self._rules.below
