"""Means and intervals over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and half the width of its interval; None: one seed has no interval."""

    mean: float
    half: float | None

    def __str__(self) -> str:
        """As it stands in a table."""
        return f"{self.mean:.3f}" if self.half is None else f"{self.mean:.3f} ± {self.half:.3f}"


def estimates(arms: Sequence[Sequence[float]]) -> list[Estimate]:
    """The mean of each arm with a Student t interval whose variance is pooled over the arms.

    Two or three seeds say next to nothing of one arm's own variance; that the arms have the same is
    an assumption, and wrong where some collapse and others do not: then the interval of the others
    is too wide, that of those that collapse too narrow.
    """
    several = [arm for arm in arms if len(arm) > 1]
    freedom = sum(len(arm) - 1 for arm in several)
    if not freedom:
        return [Estimate(fmean(arm), None) for arm in arms]
    pooled = sum((len(arm) - 1) * variance(arm) for arm in several) / freedom
    factor = float(t.ppf(0.5 + CONFIDENCE / 2, freedom))
    return [Estimate(fmean(arm), factor * math.sqrt(pooled / len(arm))) for arm in arms]
