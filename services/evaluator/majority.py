"""maj@k: how often the answer that most of k samples give is the right one.

Samples vote with their answers; the correct ones are one answer, however they are written, and a
sample without an answer does not vote. Where several answers have the most votes, each is chosen
with the same chance. The value is exact: the mean over all ways to draw k of the samples.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from openrs_core.errors import ProtocolError

Counts = np.ndarray[Any, np.dtype[np.float64]]


def majority_at(correct: int, wrong: Sequence[int], samples: int, ks: Sequence[int]) -> list[float]:
    """maj@k for each k.

    Args:
        correct: how many of the samples are.
        wrong: how many samples gave each of the other answers; those left over gave none.
        samples: of this problem, all together.
        ks: how many are drawn, each at most `samples`.

    Raises:
        ProtocolError: counts that do not fit together.
    """
    silent = samples - correct - sum(wrong)
    if silent < 0 or min([correct, *wrong]) < 0 or any(not 0 < k <= samples for k in ks):
        raise ProtocolError(f"maj@{ks} of {correct} correct and {wrong} among {samples} samples")
    won = np.zeros(samples + 1)
    for votes in range(1, correct + 1):
        ways = _others(votes, wrong, silent, samples - votes)
        won[votes:] += float(math.comb(correct, votes)) * ways
    return [min(1.0, float(won[k]) / math.comb(samples, k)) for k in ks]


def _others(votes: int, wrong: Sequence[int], silent: int, most: int) -> Counts:
    """In how many ways others fill up a draw in which the right answer has so many votes.

    By how many others there are, 0 to `most`: a draw where it loses counts 0, and one where it
    shares the lead with t answers 1 / (1 + t).
    """
    ties = 1 + sum(count >= votes for count in wrong)
    ways = np.zeros((ties, most + 1))  # [answers that share the lead, others drawn]
    ways[0, 0] = 1.0
    for count in wrong:
        longer = _product(ways, [math.comb(count, n) for n in range(min(votes - 1, count) + 1)])
        if count >= votes:
            left = max(0, most + 1 - votes)
            longer[1:, votes:] += float(math.comb(count, votes)) * ways[:-1, :left]
        ways = longer
    ways = _product(ways, [math.comb(silent, n) for n in range(silent + 1)])
    return np.asarray((1 / np.arange(1, ties + 1)) @ ways)


def _product(ways: Counts, factor: Sequence[int]) -> Counts:
    """Drawn beside them: in factor[n] ways n more."""
    found = np.zeros_like(ways)
    for more, times in enumerate(factor[: ways.shape[1]]):
        found[:, more:] += float(times) * ways[:, : ways.shape[1] - more]
    return found
