"""What the bonus for entropy weighs: constant, or led towards a target.

Adaptive as in Skywork-OR1 (arXiv 2505.22312, section 3.2): with the entropy e of a step and the
target,

    weight  <-  weight + 0.005  where e <= target,  weight - 0.005 elsewhere;  within [0, 1]

and it is applied only while e <= target, e being that of the step before: the step's own is known
only afterwards. So in TRL 1.16, which with a share of the tokens that carry the gradient takes e
over those; here e is the mean over all tokens.
"""

from collections.abc import Mapping
from typing import Any

from openrs_core.recipe.algorithm import AlgorithmSection

CHANGE = 0.005
"""Of the weight, in one step."""

MOST = 1.0
"""The weight goes no higher."""


class EntropyWeight:
    """The weight of the moment."""

    def __init__(self, rules: AlgorithmSection) -> None:
        self._target = rules.entropy_target
        self._weight = rules.entropy_weight
        self._last: float | None = None
        """Entropy of the last step, in nats per token; None before the first."""

    @property
    def weight(self) -> float:
        """For the next step."""
        if not self._target:
            return self._weight
        return self._weight if self._last is not None and self._last <= self._target else 0.0

    def made(self, entropy: float) -> None:
        """A step was made, and this was its entropy."""
        self._last = entropy
        if self._target:
            change = CHANGE if entropy <= self._target else -CHANGE
            self._weight = min(max(self._weight + change, 0.0), MOST)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"weight": self._weight, "last": self._last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._weight, self._last = state["weight"], state["last"]
