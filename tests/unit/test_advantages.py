"""Advantages against numpy: every scale, unbiased deviations, epsilon outside the root."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.learner.algorithm.advantages import Scale, advantages
from services.learner.algorithm.filters import has_signal

pytestmark = pytest.mark.arithmetic

SCALES: tuple[Scale, ...] = ("none", "group", "batch")
EPSILON = 1e-4

rewards = st.floats(-4, 4, width=32)
groups_of_rewards = st.integers(2, 6).flatmap(
    lambda size: st.lists(st.lists(rewards, min_size=size, max_size=size), min_size=1, max_size=5)
)


def by_numpy(groups: list[list[float]], scale: Scale) -> np.ndarray:
    table = np.array(groups)
    centred = table - table.mean(axis=1, keepdims=True)
    if scale == "none":
        return centred
    if scale == "group":
        return centred / (table.std(axis=1, ddof=1, keepdims=True) + EPSILON)
    return centred / (table.std(ddof=1) + EPSILON)


@pytest.mark.parametrize("scale", SCALES)
@given(groups=groups_of_rewards)
def test_advantages_equal_numpy(scale: Scale, groups: list[list[float]]) -> None:
    np.testing.assert_allclose(advantages(groups, scale), by_numpy(groups, scale), atol=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@given(groups=groups_of_rewards)
def test_advantages_of_a_group_add_up_to_zero(scale: Scale, groups: list[list[float]]) -> None:
    assert np.abs(np.sum(advantages(groups, scale), axis=1)).max() < 1e-9


def test_the_deviation_is_unbiased_and_epsilon_is_added_to_it() -> None:
    """Of (0, 1) it is sqrt(1/2), not 1/2."""
    expected = 0.5 / (0.5**0.5 + EPSILON)
    assert advantages([[0.0, 1.0]], "group") == [
        [pytest.approx(-expected), pytest.approx(expected)]
    ]


def test_groups_of_different_size_keep_their_own_mean() -> None:
    assert advantages([[0.0, 1.0], [3.0, 3.0, 6.0]], "none") == [[-0.5, 0.5], [-1.0, -1.0, 2.0]]


@pytest.mark.parametrize("scale", SCALES)
def test_equal_rewards_have_no_advantage(scale: Scale) -> None:
    assert np.abs(advantages([[0.7, 0.7, 0.7], [0.7, 0.7, 0.7]], scale)).max() < 1e-9


@pytest.mark.parametrize("scale", SCALES)
def test_a_group_without_signal_does_not_disturb_the_others(scale: Scale) -> None:
    alone, beside = advantages([[0.0, 1.0]], scale), advantages([[0.0, 1.0], [1.0, 1.0]], scale)
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
