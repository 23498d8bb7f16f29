"""Rewards of a group -> advantages. A choice of the learner, made when a group is trained.

    A = (r - mean of the group) / (scale + 1e-4)

scale: "none" (Dr. GRPO, arXiv 2503.20783), the group's standard deviation (GRPO, arXiv
2402.03300), or the batch's; deviations are unbiased (n - 1), as in TRL.
"""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

Scale = Literal["none", "group", "batch"]

EPSILON = 1e-4
"""Keeps a group of nearly equal rewards from exploding."""


def advantages(groups: Sequence[Sequence[float]], scale: Scale) -> list[list[float]]:
    """One advantage per completion, group by group; they add up to 0 in every group."""
    everyone = [reward for group in groups for reward in group]
    batch = stdev(everyone) if scale == "batch" and len(everyone) > 1 else 0.0
    return [_of_group(group, scale, batch) for group in groups]


def _of_group(rewards: Sequence[float], scale: Scale, batch: float) -> list[float]:
    mean = fmean(rewards)
    if scale == "none":
        return [reward - mean for reward in rewards]
    spread = batch if scale == "batch" else stdev(rewards)
    return [(reward - mean) / (spread + EPSILON) for reward in rewards]
