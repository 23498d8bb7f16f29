"""Rewards of a group -> advantages. A choice of the learner, made when a group is trained.

    A = (r - baseline) / (scale + 1e-4)           without scale: r - baseline

baseline  "group"   the group's mean (GRPO, arXiv 2402.03300)
          "others"  the mean of the group's other rewards: RLOO (arXiv 2402.14740)
          "batch"   the mean of the batch: REINFORCE++ (arXiv 2501.03262)
scale     "none"    1 (Dr. GRPO, arXiv 2503.20783)
          "group"   the standard deviation of the group's rewards (GRPO)
          "batch"   that of all rewards of the batch (ScaleRL, arXiv 2510.13786)

Deviations are unbiased (n - 1), as in TRL. A completion that could not be verified has no reward:
it is in no mean and in no deviation, and its advantage is 0.

REINFORCE++-baseline is "group" with "batch", but for one thing: the paper divides by the deviation
of what is left when the group's mean is taken off, here as in TRL it is that of the rewards.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import fmean, stdev
from typing import Literal

Baseline = Literal["group", "others", "batch"]
Scale = Literal["none", "group", "batch"]
Rewards = Sequence[float | None]
"""Of one group; None: not verified."""

EPSILON = 1e-4
"""Keeps a group of nearly equal rewards from exploding."""


def advantages(groups: Sequence[Rewards], baseline: Baseline, scale: Scale) -> list[list[float]]:
    """One advantage per completion, group by group; with a baseline of the group they add up to 0
    in every group."""
    batch = _known(chain.from_iterable(groups))
    return [_of_group(group, batch, baseline, scale) for group in groups]


def _of_group(
    rewards: Rewards, batch: list[float], baseline: Baseline, scale: Scale
) -> list[float]:
    group = _known(rewards)
    if not group:
        return [0.0] * len(rewards)
    mean = fmean(batch if baseline == "batch" else group)
    divisor = 1.0 if scale == "none" else _deviation(batch if scale == "batch" else group) + EPSILON
    factor = _without_itself(len(group)) if baseline == "others" else 1.0
    return [0.0 if r is None else factor * (r - mean) / divisor for r in rewards]


def _without_itself(count: int) -> float:
    """r - mean of the others = this * (r - mean of all); 0 for one that has no others."""
    return count / (count - 1) if count > 1 else 0.0


def _deviation(rewards: list[float]) -> float:
    return stdev(rewards) if len(rewards) > 1 else 0.0


def _known(rewards: Iterable[float | None]) -> list[float]:
    return [reward for reward in rewards if reward is not None]
