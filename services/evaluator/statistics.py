"""Accuracy over problems with an honest interval, the average over sets, and pass@k.

An interval is about problems like these: what another draw of as many problems from the same
source, and other samples of each, would have given. So the problem is the unit, its samples are a
cluster: their mean counts once, however many there are (Miller, arXiv 2411.00640, on clusters).

Nothing here reads a clock or a file; random draws are seeded, and do not depend on the order of
the problems.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any, Literal

import numpy as np

from openrs_core.errors import ProtocolError

LEVEL = 0.95
"""Share of such intervals that hold the true value."""
RESAMPLES = 9999
"""Of a bootstrap, and of a permutation test that cannot try all."""

SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
"""Where an accuracy lies, and where the difference of two of them does."""


Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems, and how far it may be from that over all problems of their kind."""

    value: float
    standard_error: float | None
    """Standard deviation of the problems' values over the root of their number; None if one."""
    low: float
    high: float


def accuracy(shares: Sequence[float]) -> Estimate:
    """The mean of each problem's share of correct samples, with its 95 % interval.

    The interval is the BCa bootstrap over problems (Efron 1987, doi 10.2307/2289144), which follows
    the skewness of shares near 0 or 1; how often it holds the true value: docs/evaluation.md.
    """
    return _estimate(shares, SHARE)


def difference(shares: Sequence[float], others: Sequence[float]) -> Estimate:
    """The mean over problems of share minus other, with its 95 % interval.

    The interval is the expanded percentile interval (Hesterberg, arXiv 1411.5279): a bootstrap over
    problems, of both shares of a problem together, at a level that makes up for what one of few
    problems lacks in width. BCa, which is better for one accuracy, is worse here: where differences
    are mostly 0, what it takes for skewness is noise (docs/evaluation.md).
    """
    return _estimate([a - b for a, b in zip(shares, others, strict=True)], DIFFERENCE)


def average(parts: Sequence[Estimate]) -> Estimate:
    """The mean over sets, each with the same weight.

    Its interval is put together from theirs (MOVER: Zou and Donner 2008, doi 10.1002/sim.3095),
    so that a set whose problems agree still counts as uncertain. For one set it is that set's own.
    """
    mean, weight = fmean(part.value for part in parts), 1 / len(parts)
    below = weight * math.hypot(*(part.value - part.low for part in parts))
    above = weight * math.hypot(*(part.high - part.value for part in parts))
    errors = [part.standard_error for part in parts]
    known = [error for error in errors if error is not None]
    error = weight * math.hypot(*known) if len(known) == len(errors) else None
    return Estimate(mean, error, mean - below, mean + above)


def pass_at(correct: int, samples: int, k: int) -> float:
    """Chance that of k samples, drawn from these without replacement, at least one is correct.

    The unbiased estimate of Chen et al., arXiv 2107.03374, equation 1.
    """
    if not 0 < k <= samples or not 0 <= correct <= samples:
        raise ProtocolError(f"pass@{k} of {correct} correct among {samples} samples")
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`: the k of pass@k and maj@k."""
    return [2**power for power in range(most.bit_length())] if most > 0 else []


def _estimate(values: Sequence[float], bounds: tuple[float, float]) -> Estimate:
    if not values:
        raise ProtocolError("no problem, so no mean")
    found = np.sort(np.asarray(values, dtype=np.float64))
    count, mean = len(found), fmean(values)
    if found[0] == found[-1]:
        low, high = _unanimous(mean, count, bounds)
        return Estimate(mean, None if count == 1 else 0.0, low, high)
    error = float(found.std(ddof=1)) / math.sqrt(count)
    low, high = _bootstrap(found, "BCa" if bounds == SHARE else "percentile")
    return Estimate(mean, error, low, high)


def _bootstrap(values: Floats, method: Literal["BCa", "percentile"]) -> tuple[float, float]:
    from scipy import stats

    count, level = len(values), LEVEL
    if method == "percentile":  # as far out as a t interval with a standard error of its own
        reach = math.sqrt(count / (count - 1)) * stats.t.ppf((1 + LEVEL) / 2, count - 1)
        level = 2 * NormalDist().cdf(float(reach)) - 1
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method=method,
        rng=np.random.default_rng(0), batch=max(1, 2**22 // count),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def _unanimous(value: float, count: int, bounds: tuple[float, float]) -> tuple[float, float]:
    """The interval where all problems have the same value.

    Of `count` problems none had another value, so at most `share` of all problems do (Clopper and
    Pearson 1934, which has a closed form for none of n), and these at worst the lowest, or the
    highest, there is. For all right this is Clopper and Pearson's interval of the problems.
    """
    share = 1 - ((1 - LEVEL) / 2) ** (1 / count)
    return value - share * (value - bounds[0]), value + share * (bounds[1] - value)
