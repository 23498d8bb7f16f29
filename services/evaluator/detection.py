"""How many samples per problem tell a difference of so many points, and whether any number does.

Let p be a problem's chance of a correct sample, and let two models differ on it by d. Then the
variance of the mean difference over n problems with k samples each is, paired,

    (Var(d) + 2 E[p (1 - p)] / k) / n

and, where the two are taken as accuracies of different problems, 2 (Var(p) + E[p (1 - p)] / k) / n
(law of total variance; Miller, arXiv 2411.00640, derives both). More samples only shrink the second
term, so what differs between problems sets a floor: paired, that is how unevenly the difference is
spread over them; unpaired, all that makes one problem harder than another.
"""

import math
from dataclasses import dataclass
from typing import Self

from services.evaluator.comparison import detectable


@dataclass(frozen=True, slots=True)
class Spread:
    """How the chances of a set's problems vary; all are variances of a share."""

    problems: int
    mean: float
    within: float
    """E[p (1 - p)]: between samples of one problem."""

    @property
    def between(self) -> float:
        """Var(p): between problems, what is left of mean (1 - mean)."""
        return self.mean * (1 - self.mean) - self.within

    @classmethod
    def of_seeds(cls, problems: int, mean: float, deviations: list[float]) -> Self:
        """From the standard deviations between seeds of accuracies with one sample a problem.

        Such an accuracy has the variance within / problems: the problems are the same every time.
        """
        variance = math.fsum(d**2 for d in deviations) / len(deviations)
        return cls(problems, mean, problems * variance)


def paired_error(spread: Spread, samples: int, uneven: float) -> float:
    """Standard error of the mean paired difference.

    Args:
        spread: of the set.
        samples: of each problem.
        uneven: standard deviation of d over problems; 0: all differ alike.
    """
    return math.sqrt((uneven**2 + 2 * spread.within / samples) / spread.problems)


def paired_samples(spread: Spread, points: float, uneven: float) -> int | None:
    """Samples per problem that make a difference just detectable; None: no number does."""
    left = _variance(points) * spread.problems - uneven**2
    return math.ceil(2 * spread.within / left) if left > 0 else None


def unpaired_samples(spread: Spread, points: float) -> int | None:
    """The same where only the two accuracies are known, not which problems they come from."""
    left = _variance(points) * spread.problems / 2 - spread.between
    return math.ceil(spread.within / left) if left > 0 else None


def _variance(points: float) -> float:
    """Of an estimate that just detects so large a difference, a share."""
    return (points / detectable(1.0)) ** 2
