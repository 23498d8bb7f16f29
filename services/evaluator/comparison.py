"""Do two evaluations of the same problems differ? Paired, problem by problem.

For each set and for their average: the mean difference with its interval, a permutation test,
Holm's correction over all comparisons made at once, and what could have been seen at all.

A difference is called one where the corrected p is below 5 % and the interval leaves out 0. The
second follows from the first, but for rounding at the edge: so a verdict never contradicts the
interval beside it. The reverse does not hold: an interval is of one comparison, and among many
some leave out 0 by chance; then it says so, and the verdict is that nothing was shown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from services.evaluator.result import Result, SetResult
from services.evaluator.statistics import LEVEL, RESAMPLES, Estimate, average, difference

POWER = 0.8
"""Share of the times that a difference which is just detectable is seen."""
ALPHA = 0.05
"""A corrected p below it is called a difference."""
AVERAGE = "average"

Verdict = Literal["better", "worse", "no difference"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One result against the reference, on one set or on the average of all."""

    name: str
    """Of the set, or `AVERAGE`."""
    problems: int
    samples: int
    """Drawn of all problems together."""
    reference: float
    """The reference's accuracy."""
    accuracy: float
    """The other's."""
    difference: Estimate
    """Accuracy less reference."""
    p: float
    """Chance of a difference as large, were the two the same (a permutation test, two-sided)."""
    corrected: float
    """p after Holm's correction."""

    @property
    def detectable(self) -> float | None:
        """The smallest difference that is seen 4 times of 5, alone; None: not known.

        (z(0.975) + z(0.8)) standard errors of the mean paired difference.
        """
        error = self.difference.standard_error
        return detectable(error) if error else None

    @property
    def verdict(self) -> Verdict:
        """Of the other, by the corrected p."""
        if self.corrected >= ALPHA or not self.is_off_zero:
            return "no difference"
        return "better" if self.difference.value > 0 else "worse"

    @property
    def is_off_zero(self) -> bool:
        """Does the interval, which is of this comparison alone, leave out 0?"""
        return not self.difference.low <= 0 <= self.difference.high


def detectable(error: float) -> float:
    """The difference that is seen with a chance of `POWER`, by its standard error."""
    normal = NormalDist()
    return (normal.inv_cdf((1 + LEVEL) / 2) + normal.inv_cdf(POWER)) * error


def compared(reference: Result, others: Sequence[Result]) -> list[list[Comparison]]:
    """Each of the others against the reference, on every set and, where there are several, on all.

    Results must be of the same sets and problems (`pairing`).
    """
    found = [_of_sets(reference.sets, other.sets) for other in others]
    corrected = iter(holm([comparison.p for each in found for comparison in each]))
    return [[replace(one, corrected=next(corrected)) for one in each] for each in found]


def holm(ps: Sequence[float]) -> list[float]:
    """p corrected for so many tests at once, in the same order (Holm 1979, Scand. J. Stat. 6, 65).

    It holds however the tests depend on one another, as a set and the average do.
    """
    found, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        found[place] = least
    return found


def permutation_p(differences: Sequence[int]) -> float:
    """Chance that flipping each difference's sign at random gives a sum as far from 0.

    Were the two the same, which of the two shares of a problem is whose would be chance. All ways
    to flip are tried where they are few, else `RESAMPLES` seeded ones, with the observed one among
    them (Phipson and Smyth 2010, doi 10.2202/1544-6115.1585), so that p is never 0.

    Args:
        differences: one per problem, in whole numbers, so that sums are exact.
    """
    from scipy import stats

    found = np.array([d for d in differences if d], dtype=np.float64)  # 0 is 0 either way
    if len(found) < 2:
        return 1.0
    if 2 ** len(found) <= RESAMPLES:
        tried = stats.permutation_test(
            (found,), np.sum, permutation_type="samples", n_resamples=RESAMPLES
        )
        return float(tried.pvalue)
    random = np.random.default_rng(0)

    def flipped(size: tuple[int, ...]) -> Any:
        return found * random.choice((-1.0, 1.0), size)

    drawn = stats.monte_carlo_test(
        found, flipped, np.sum, n_resamples=RESAMPLES, batch=max(1, 2**21 // len(found))
    )
    return float(drawn.pvalue)


def _of_sets(references: Sequence[SetResult], others: Sequence[SetResult]) -> list[Comparison]:
    pairs = list(zip(references, others, strict=True))
    each = [_of_set(*pair) for pair in pairs]
    return each if len(each) == 1 else [*each, _of_average(pairs, each)]


def _of_set(reference: SetResult, other: SetResult) -> Comparison:
    ours, theirs = other.means(), reference.means()
    p = permutation_p(_counts(reference, other))
    return Comparison(
        name=reference.name,
        problems=reference.problems,
        samples=reference.problems * reference.samples,
        reference=reference.accuracy.value,
        accuracy=other.accuracy.value,
        difference=difference([ours[id] for id in theirs], list(theirs.values())),
        p=p,
        corrected=p,
    )


def _of_average(
    pairs: Sequence[tuple[SetResult, SetResult]], each: Sequence[Comparison]
) -> Comparison:
    whole = math.lcm(*(one.samples for one in each))
    weighted = [
        whole // one.samples * count
        for one, pair in zip(each, pairs, strict=True)
        for count in _counts(*pair)
    ]
    p = permutation_p(weighted)
    return Comparison(
        name=AVERAGE,
        problems=sum(one.problems for one in each),
        samples=sum(one.samples for one in each),
        reference=sum(one.reference for one in each) / len(each),
        accuracy=sum(one.accuracy for one in each) / len(each),
        difference=average([one.difference for one in each]),
        p=p,
        corrected=p,
    )


def _counts(reference: SetResult, other: SetResult) -> list[int]:
    """How many more samples of each problem are correct."""
    correct = {problem.id: problem.correct for problem in other.by_problem}
    return [correct[problem.id] - problem.correct for problem in reference.by_problem]
