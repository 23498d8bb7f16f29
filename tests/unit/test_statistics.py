"""What the numbers of an evaluation are worth: accuracy, intervals, pass@k, maj@k."""

from collections import Counter
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from openrs_core.errors import ProtocolError
from services.evaluator import statistics
from services.evaluator.majority import majority_at
from services.evaluator.statistics import (
    Estimate,
    accuracy,
    average,
    difference,
    pass_at,
    powers_of_two,
)


def drawn(rng, problems, samples, mean, spread):
    """Shares of correct samples of problems whose chances are Beta distributed."""
    chances = rng.beta(mean * spread, (1 - mean) * spread, problems)
    return rng.binomial(samples, chances) / samples, chances


@pytest.fixture
def fewer_resamples(monkeypatch):
    """Half as many. Not far fewer: all share one seed, so the roughness of 999 is a bias in all."""
    monkeypatch.setattr(statistics, "RESAMPLES", 4999)


def test_the_standard_error_is_that_of_the_problems_means():
    shares, _ = drawn(np.random.default_rng(0), 40, 8, 0.4, 1.0)
    found = accuracy(list(shares))
    assert found.value == pytest.approx(shares.mean())
    assert found.standard_error == pytest.approx(stats.sem(shares))


def test_an_accuracys_interval_is_scipys_bca_bootstrap():
    shares, _ = drawn(np.random.default_rng(1), 40, 8, 0.4, 1.0)
    other = stats.bootstrap((shares,), np.mean, method="BCa", n_resamples=50_000, rng=7)
    found = accuracy(list(shares))
    assert found.low == pytest.approx(other.confidence_interval.low, abs=0.01)
    assert found.high == pytest.approx(other.confidence_interval.high, abs=0.01)


def test_more_samples_of_the_same_problem_do_not_count_as_more_problems():
    one = accuracy([0.0, 1.0] * 15)
    assert one == accuracy([0 / 64, 64 / 64] * 15)


def test_an_interval_does_not_depend_on_the_order_of_the_problems():
    shares, _ = drawn(np.random.default_rng(2), 30, 4, 0.4, 1.0)
    assert accuracy(list(shares)) == accuracy(list(shares)[::-1])


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_where_all_problems_agree_the_interval_is_clopper_and_pearsons(right):
    found = accuracy([right] * 30)
    exact = stats.binomtest(int(30 * right), 30).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_one_problem_says_next_to_nothing():
    found = accuracy([0.5])
    assert found.standard_error is None
    assert found.low < 0.02
    assert found.high > 0.98


def test_two_evaluations_that_agree_everywhere_may_still_differ_elsewhere():
    found = difference([0.5] * 30, [0.5] * 30)
    assert (found.value, found.low) == (0.0, -found.high)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 30))


def test_no_problems_have_no_mean():
    with pytest.raises(ProtocolError, match="no problem"):
        accuracy([])


@pytest.mark.parametrize("problems", [30, 40])
def test_with_one_sample_of_each_problem_the_coverage_is_exactly_this(problems):
    """Over all accuracies from 5 to 95 %; it goes up and down, since there are so few outcomes."""
    found = [accuracy([1.0] * n + [0.0] * (problems - n)) for n in range(problems + 1)]
    held = []
    for truth in np.linspace(0.05, 0.95, 181):
        chance = stats.binom.pmf(np.arange(problems + 1), problems, truth)
        inside = [estimate.low <= truth <= estimate.high for estimate in found]
        held.append(float(chance @ np.array(inside)))
    assert 0.95 <= np.mean(held) <= 0.97
    assert min(held) >= 0.92


COVERED = [(30, 32, 0.3, 0.9)]
"""Problems, samples, mean and a + b of the Beta distribution of their chances; many more are in
`benchmarks/bench_intervals.py`, whose figures docs/evaluation.md shows."""
DRAWS = 400
"""Of a set; the standard error of a coverage of 95 % is then 1.1 points."""


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize(("problems", "samples", "mean", "spread"), COVERED)
def test_95_percent_of_the_intervals_of_an_accuracy_hold_the_true_one(
    problems, samples, mean, spread
):
    rng, held = np.random.default_rng(3), 0
    for _ in range(DRAWS):
        shares, _ = drawn(rng, problems, samples, mean, spread)
        found = accuracy(list(shares))
        held += found.low <= mean <= found.high
    assert 0.93 * DRAWS <= held <= 0.97 * DRAWS


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize(("problems", "samples", "mean", "spread"), [*COVERED, (40, 1, 0.73, 1.2)])
def test_95_percent_of_the_intervals_of_a_difference_hold_the_true_one(
    problems, samples, mean, spread
):
    rng, held = np.random.default_rng(4), 0
    for _ in range(DRAWS):
        shares, chances = drawn(rng, problems, samples, mean, spread)
        others = rng.binomial(samples, chances) / samples
        found = difference(list(shares), list(others))
        held += found.low <= 0 <= found.high
    assert 0.93 * DRAWS <= held <= 0.97 * DRAWS


@pytest.mark.usefixtures("fewer_resamples")
def test_95_percent_of_the_intervals_of_an_average_hold_the_true_one():
    rng, held = np.random.default_rng(5), 0
    for _ in range(DRAWS):
        sets = [drawn(rng, n, 8, mean, 0.9)[0] for n, mean in ((30, 0.3), (40, 0.7))]
        found = average([accuracy(list(shares)) for shares in sets])
        held += found.low <= (0.3 + 0.7) / 2 <= found.high
    assert 0.93 * DRAWS <= held <= 0.97 * DRAWS


def test_every_set_has_the_same_weight_in_the_average():
    found = average([Estimate(0.2, 0.03, 0.14, 0.26), Estimate(0.6, 0.04, 0.52, 0.68)])
    assert found.value == pytest.approx(0.4)
    assert found.standard_error == pytest.approx(0.025)
    assert (found.low, found.high) == (pytest.approx(0.35), pytest.approx(0.45))


def test_the_average_of_one_set_is_that_set():
    one = accuracy([0.0, 0.5, 1.0, 1.0])
    found = average([one])
    assert found.value == one.value
    assert (found.low, found.high) == (pytest.approx(one.low), pytest.approx(one.high))


@pytest.mark.parametrize("correct", range(7))
@pytest.mark.parametrize("k", range(1, 7))
def test_pass_at_k_is_the_share_of_draws_with_a_correct_sample(correct, k):
    draws = list(combinations([True] * correct + [False] * (6 - correct), k))
    assert pass_at(correct, 6, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_1_is_the_share_of_correct_samples():
    assert pass_at(3, 32, 1) == pytest.approx(3 / 32)


@pytest.mark.parametrize(("correct", "samples", "k"), [(3, 2, 1), (0, 4, 5), (1, 4, 0)])
def test_a_draw_that_cannot_be_made_is_refused(correct, samples, k):
    with pytest.raises(ProtocolError):
        pass_at(correct, samples, k)
    with pytest.raises(ProtocolError):
        majority_at(correct, [], samples, [k])


def enumerated(correct, wrong, samples, k):
    """maj@k from all draws, one by one, as it is defined."""
    votes = ["right"] * correct
    votes += [f"wrong {n}" for n, count in enumerate(wrong) for _ in range(count)]
    votes += [None] * (samples - len(votes))
    draws = [Counter(v for v in draw if v) for draw in combinations(votes, k)]
    won = Fraction(0)
    for draw in draws:
        first = [answer for answer, n in draw.items() if n == max(draw.values())]
        won += Fraction(int("right" in first), len(first) or 1)
    return float(won / len(draws))


VOTES = [
    (0, [3, 2], 8), (8, [], 8), (3, [3, 1], 8), (2, [1, 1, 1, 1], 8), (3, [2, 2], 9),
    (4, [4, 4], 12), (1, [], 5), (2, [6], 8), (5, [3, 1, 1, 1], 12),
]  # fmt: skip
"""Correct, wrong ones by answer, samples; the others gave no answer."""


@pytest.mark.parametrize(("correct", "wrong", "samples"), VOTES)
def test_maj_at_k_is_the_mean_over_all_draws_with_ties_split(correct, wrong, samples):
    ks = list(range(1, samples + 1))
    expected = [enumerated(correct, wrong, samples, k) for k in ks]
    assert majority_at(correct, wrong, samples, ks) == pytest.approx(expected)


def test_maj_at_k_agrees_with_draws_at_random_where_there_are_many():
    rng = np.random.default_rng(6)
    votes = np.array([0] * 20 + [1] * 15 + [2] * 9 + [3] * 4 + [-1] * 16)
    won = 0.0
    for _ in range(4000):
        count = Counter(v for v in rng.permutation(votes)[:16].tolist() if v >= 0)
        first = [answer for answer, n in count.items() if n == max(count.values())]
        won += (0 in first) / len(first)
    (found,) = majority_at(20, [15, 9, 4], 64, [16])
    assert found == pytest.approx(won / 4000, abs=0.025)


def test_the_k_are_the_powers_of_two_up_to_the_samples():
    assert powers_of_two(32) == [1, 2, 4, 8, 16, 32]
    assert powers_of_two(10) == [1, 2, 4, 8]
    assert powers_of_two(1) == [1]
