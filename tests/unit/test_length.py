"""The longest completion of the moment grows when it should, and never beyond the sampler."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.recipe.length import LengthSection
from services.learner.algorithm.length import LengthSchedule


def lengths(rules: LengthSection, shares: list[float], longest: int = 1000) -> list[int]:
    """The limit before the first step, and after each of these."""
    schedule, found = LengthSchedule(rules, longest), []
    for share in shares:
        found.append(schedule.max_tokens)
        schedule.made(share)
    return [*found, schedule.max_tokens]


def test_without_a_schedule_it_is_what_the_sampler_was_started_for() -> None:
    assert lengths(LengthSection(), [0.0] * 3) == [1000] * 4


def test_it_grows_at_the_steps_that_are_named() -> None:
    rules = LengthSection(first=100, factor=1.5, at_steps=(2, 3))
    assert lengths(rules, [0.9] * 5) == [100, 100, 150, 225, 225, 225]
    assert rules.planned == 225


def test_it_grows_when_few_were_cut_off_in_a_whole_window_under_the_same_limit() -> None:
    rules = LengthSection(first=100, below=0.2, window=2)
    shares = [0.0, 0.5, 0.1, 0.1, 0.1, 0.1]
    #      mean of two:  0.25  0.3   0.1 -> 200        0.1 -> 400
    assert lengths(rules, shares) == [100, 100, 100, 100, 200, 200, 400]


def test_a_share_at_the_threshold_is_not_below_it() -> None:
    assert lengths(LengthSection(first=100, below=0.5, window=1), [0.5, 0.5]) == [100] * 3


def test_it_never_grows_beyond_what_the_sampler_was_started_for() -> None:
    rules = LengthSection(first=300, below=1.0, window=1)
    assert lengths(rules, [0.0] * 4) == [300, 600, 1000, 1000, 1000]
    assert LengthSchedule(rules, 300).made(0.0) is False


rules_of_lengths = st.builds(
    LengthSection,
    first=st.integers(1, 500),
    factor=st.floats(1.01, 3),
    at_steps=st.sets(st.integers(1, 30), min_size=1).map(lambda steps: tuple(sorted(steps))),
    below=st.floats(0, 1),
    window=st.integers(1, 5),
)
shares_of_steps = st.lists(st.floats(0, 1), max_size=30)


@given(rules=rules_of_lengths, before=shares_of_steps, after=shares_of_steps)
def test_it_goes_on_from_its_state(rules, before, after) -> None:
    begun, later = LengthSchedule(rules, 700), LengthSchedule(rules, 700)
    for share in before:
        begun.made(share)
    later.restore(json.loads(json.dumps(begun.state())))
    found = [later.max_tokens]
    for share in after:
        later.made(share)
        found.append(later.max_tokens)
    assert found == lengths(rules, before + after, 700)[len(before) :]


@given(rules=rules_of_lengths, shares=shares_of_steps)
def test_it_never_shrinks(rules, shares) -> None:
    found = lengths(rules, shares, 700)
    assert found == sorted(found)
    assert found[-1] <= 700


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_steps_alone_do_not_look_at_what_is_cut_off(share: float) -> None:
    assert lengths(LengthSection(first=10, at_steps=(1,)), [share] * 20)[-1] == 20
