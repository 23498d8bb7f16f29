"""Advantages against numpy: every baseline and scale, unbiased deviations, what is not verified."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.learner.algorithm.advantages import Baseline, Scale, advantages
from services.learner.algorithm.filters import has_signal

pytestmark = pytest.mark.arithmetic

SCALES: tuple[Scale, ...] = ("none", "group", "batch")
BASELINES: tuple[Baseline, ...] = ("group", "others", "batch")
EPSILON = 1e-4
NEARLY = 1e-8
"""Rewards are below 4 and a deviation with EPSILON above 1e-4: 2e-16 of rounding, times 8e4, and
times the number of operations."""

every_scale = pytest.mark.parametrize("scale", SCALES)
every_way = pytest.mark.parametrize(("baseline", "scale"), [*product(BASELINES, SCALES)])

rewards = st.floats(-4, 4, width=32)
groups_of_rewards = st.lists(st.lists(rewards, min_size=2, max_size=6), min_size=1, max_size=5)
mixtures = st.lists(st.lists(st.none() | rewards, min_size=1, max_size=8), min_size=1, max_size=5)


def by_numpy(groups: list[list[float | None]], baseline: Baseline, scale: Scale) -> list[float]:
    """One completion at a time, looking at all the others anew."""
    batch = np.array([r for group in groups for r in group if r is not None])
    found = []
    for group in groups:
        known = np.array([r for r in group if r is not None])
        for place, reward in enumerate(group):
            if reward is None:
                found.append(0.0)
                continue
            others = np.array([r for at, r in enumerate(group) if r is not None and at != place])
            mean = {"group": known, "others": others if len(others) else known, "batch": batch}
            spread = {"none": np.array([]), "group": known, "batch": batch}[scale]
            deviation = spread.std(ddof=1) if len(spread) > 1 else 0.0
            divisor = 1.0 if scale == "none" else deviation + EPSILON
            found.append((reward - mean[baseline].mean()) / divisor)
    return found


def flat(table: list[list[float]]) -> list[float]:
    return [value for row in table for value in row]


@every_way
@given(groups=mixtures)
def test_advantages_equal_numpy(baseline: Baseline, scale: Scale, groups) -> None:
    np.testing.assert_allclose(
        flat(advantages(groups, baseline, scale)), by_numpy(groups, baseline, scale), atol=NEARLY
    )


@every_way
@given(groups=mixtures, places=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8))))
def test_what_is_not_verified_changes_nothing_for_the_others(baseline, scale, groups, places):
    """A mixture has the advantages of its verified completions alone, and 0 elsewhere."""
    mixed = [list(group) for group in groups]
    for number, place in places:
        mixed[number % len(mixed)].insert(place, None)
    alone = [[r for r in group if r is not None] for group in mixed]
    found = advantages(mixed, baseline, scale)
    pairs = [list(zip(group, row, strict=True)) for group, row in zip(mixed, found, strict=True)]
    kept = [[gain for reward, gain in row if reward is not None] for row in pairs]
    assert kept == advantages(alone, baseline, scale)
    assert {gain for row in pairs for reward, gain in row if reward is None} <= {0.0}


@every_way
def test_seven_right_and_one_that_cannot_be_verified(baseline: Baseline, scale: Scale) -> None:
    """As a wrong one it would get -2.47, and each of the seven +0.35."""
    assert advantages([[1.0] * 7 + [None]], baseline, scale) == [[0.0] * 8]
    seven = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    [mixed], [alone] = (advantages([each], baseline, scale) for each in ([*seven, None], seven))
    assert mixed == [*alone, 0.0]


@every_scale
@pytest.mark.parametrize("baseline", ["group", "others"])
@given(groups=groups_of_rewards)
def test_with_a_baseline_of_the_group_advantages_add_up_to_zero(baseline, scale, groups) -> None:
    for row in advantages(groups, baseline, scale):
        assert abs(sum(row)) < len(row) * NEARLY


@given(groups=groups_of_rewards)
def test_with_the_batch_s_mean_and_deviation_advantages_are_standardised(groups) -> None:
    found = np.array(flat(advantages(groups, "batch", "batch")))
    spread = np.std(flat(groups), ddof=1)
    assert abs(found.mean()) < NEARLY
    assert found.std(ddof=1) == pytest.approx(spread / (spread + EPSILON), abs=NEARLY)


@given(group=st.lists(rewards, min_size=2, max_size=8))
def test_leaving_oneself_out_stretches_advantages_by_n_over_n_minus_1(group: list[float]) -> None:
    [others], [mean] = (advantages([group], baseline, "none") for baseline in ("others", "group"))
    stretch = len(group) / (len(group) - 1)
    assert others == pytest.approx([stretch * gain for gain in mean], abs=NEARLY)


def test_the_deviation_is_unbiased_and_epsilon_is_added_to_it() -> None:
    """Of (0, 1) it is sqrt(1/2), not 1/2."""
    expected = 0.5 / (0.5**0.5 + EPSILON)
    assert advantages([[0.0, 1.0]], "group", "group") == [
        [pytest.approx(-expected), pytest.approx(expected)]
    ]


def test_groups_of_different_size_keep_their_own_mean() -> None:
    groups = [[0.0, 1.0], [3.0, 3.0, 6.0]]
    assert advantages(groups, "group", "none") == [[-0.5, 0.5], [-1.0, -1.0, 2.0]]


def test_the_batch_s_mean_is_of_completions_not_of_groups() -> None:
    groups = [[0.0, 1.0], [3.0, 3.0, 3.0]]
    assert advantages(groups, "batch", "none") == [[-2.0, -1.0], [1.0, 1.0, 1.0]]


@every_scale
def test_equal_rewards_have_no_advantage(scale: Scale) -> None:
    groups = [[0.7, 0.7, 0.7], [0.7, 0.7, 0.7]]
    assert np.abs(advantages(groups, "group", scale)).max() < 1e-9


@every_scale
def test_a_group_without_signal_does_not_disturb_the_others(scale: Scale) -> None:
    alone, beside = (
        advantages(groups, "group", scale) for groups in ([[0.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]])
    )
    assert beside[1] == [0.0, 0.0]
    assert np.sign(beside[0]).tolist() == np.sign(alone[0]).tolist()


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ([0.0, 1.0], True),
        ([1.0, 1.0, 1.2], True),
        ([1.0, 1.0], False),
        ([0.1 + 0.2, 0.3], False),  # the same sum, rounded another way
        ([1.0], False),
        ([], False),
    ],
)
def test_a_group_has_signal_when_its_rewards_differ(group: list[float], expected: bool) -> None:
    assert has_signal(group) is expected
