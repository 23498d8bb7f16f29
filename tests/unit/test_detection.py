"""How many samples tell a difference: the formulas, against simulated evaluations."""

import numpy as np
import pytest

from services.evaluator.detection import Spread, paired_error, paired_samples, unpaired_samples

SPREAD = Spread(problems=200, mean=0.4, within=0.12)


def simulated(uneven, samples):
    """Mean paired differences of 3000 pairs of evaluations; chances p and p + d of new problems."""
    rng = np.random.default_rng(0)
    spread = SPREAD.within / SPREAD.between  # a + b of the Beta distribution with these variances
    p = rng.beta(0.4 * spread, 0.6 * spread, (3000, 200)) * 0.8 + 0.1
    d = rng.choice((-uneven, uneven), p.shape)
    drawn = [rng.binomial(samples, chance) / samples for chance in (p, np.clip(p + d, 0, 1))]
    within = (p * (1 - p)).mean() / 2 + ((p + d) * (1 - p - d)).mean() / 2
    return (drawn[1] - drawn[0]).mean(axis=1), Spread(200, float(p.mean()), float(within))


@pytest.mark.parametrize("samples", [1, 8])
@pytest.mark.parametrize("uneven", [0.0, 0.1])
def test_the_error_of_a_paired_difference_is_as_simulated(uneven, samples):
    differences, spread = simulated(uneven, samples)
    assert paired_error(spread, samples, uneven) == pytest.approx(differences.std(), rel=0.05)


def test_the_samples_found_are_the_fewest_that_do():
    for uneven in (0.0, 0.05):
        found = paired_samples(SPREAD, 0.02, uneven)
        assert 2.80 * paired_error(SPREAD, found, uneven) <= 0.02
        assert 2.81 * paired_error(SPREAD, found - 1, uneven) > 0.02


def test_where_the_difference_is_uneven_no_number_of_samples_may_do():
    assert paired_samples(Spread(30, 0.3, 0.1), 0.02, 0.0) == 131
    assert paired_samples(Spread(30, 0.3, 0.1), 0.02, 0.05) is None


def test_unpaired_what_makes_problems_hard_hides_the_difference():
    assert unpaired_samples(SPREAD, 0.02) is None
    assert unpaired_samples(Spread(20_000, 0.4, 0.12), 0.02) == 1


def test_the_variances_within_and_between_are_all_there_is():
    found = Spread.of_seeds(30, 0.3, [0.05, 0.06])
    assert found.within == pytest.approx(30 * (0.05**2 + 0.06**2) / 2)
    assert found.within + found.between == pytest.approx(0.3 * 0.7)
