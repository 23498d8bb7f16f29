"""What a step is made of and what it says of itself: plain facts, no torch."""

from dataclasses import dataclass
from typing import Literal

SkipReason = Literal["", "loss", "gradient", "spike"]
"""Why a step was not made: its loss or its gradient is not finite, or the norm above the limit;
empty: it was made."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A prompt and one completion, as the loss sees them."""

    prompt: tuple[int, ...]  # [P]
    completion: tuple[int, ...]  # [T]
    behaviour_logprobs: tuple[float, ...]  # [T]
    advantage: float
    weight: float
    """Of each of its tokens in the batch's loss."""

    @property
    def length(self) -> int:
        """Prompt and completion, in tokens."""
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class StepStats:
    """What one step did, over all ranks; means are per scored token unless said otherwise."""

    loss: float
    grad_norm: float
    """Before clipping."""
    entropy: float
    mismatch_kl: float
    """k3 of learner against behaviour policy."""
    log_ratio_mean: float
    """Mean of |log pi - log mu|, learner and behaviour policy."""
    log_ratio_max: float
    """And the largest."""
    ratio_max: float
    """Largest importance ratio."""
    clipped: float
    """Share of tokens whose ratio was capped, or clipped with effect on the gradient."""
    clipped_positive: float
    """The part of `clipped` that had a positive advantage, as a share of all tokens."""
    clipped_negative: float
    """And a negative one."""
    outside: float
    """Share of tokens whose ratio is outside [0.9, 1.1]."""
    ess: float
    """Effective sample size as a share of the tokens: (sum w)^2 / (N sum w^2), w the ratios."""
    tokens: int
    skipped: SkipReason = ""
