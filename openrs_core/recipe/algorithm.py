"""The section `algorithm`: the choices of learning, and where each was published.

What computes them (steps, batches, learning rate, DeepSpeed, checkpoints) is the section `learner`.
"""

from typing import Literal

from openrs_core.recipe.section import NotNegative, Positive, Section, Share


class AlgorithmSection(Section):
    """Which policy gradient; GRPO's family."""

    loss: Literal["cispo", "clip"] = "cispo"
    """`cispo`: policy gradient with the detached, capped ratio (MiniMax-M1, arXiv 2506.13585);
    `clip`: PPO's (arXiv 1707.06347), asymmetric as in DAPO (arXiv 2503.14476)."""
    ratio_cap: Positive = 5.0
    """Highest importance ratio of `cispo` (5: ScaleRL, arXiv 2510.13786)."""
    clip_low: Share = 0.2
    """`clip` keeps the ratio above 1 - clip_low."""
    clip_high: NotNegative = 0.28
    """`clip` keeps the ratio below 1 + clip_high."""
    dual_clip: NotNegative = 4.0
    """`clip` bounds the ratio of tokens with negative advantage by this (arXiv 1912.09729); 0:
    unbounded."""
    kl_weight: NotNegative = 0.0
    """Weight of the k3 divergence from the base model; needs a second copy of it."""
    aggregation: Literal["token", "sequence", "group", "constant"] = "token"
    """Mean over all tokens, of sequence means, of group means, or over a constant length."""
    advantage_scale: Literal["none", "group", "batch"] = "group"
    """What divides reward - group mean: nothing (Dr. GRPO, arXiv 2503.20783), the group's (GRPO,
    arXiv 2402.03300) or the batch's deviation (ScaleRL)."""
