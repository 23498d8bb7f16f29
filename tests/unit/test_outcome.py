"""What scored groups are good for; what is left out of a batch; what is said of all of them."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.recipe.algorithm import AlgorithmSection
from openrs_core.recipe.file import load
from openrs_core.wire.messages import RolloutGroup, ScoredGroup
from services.learner.algorithm.drought import PATIENCE_STEPS, Drought
from services.learner.algorithm.outcome import ENDS_AS, Outcome, outcome
from services.learner.algorithm.scored import Scored, Tally
from services.learner.algorithm.sequences import sequences
from tests.builders import a_judged_group, a_prompt
from tests.strategies import scored_groups
from tests.unit.test_recipe import TOY

KEPT, MASKED = AlgorithmSection(), AlgorithmSection(truncated="masked")
RIGHT, WRONG = ("correct", 1.0, "stop"), ("incorrect", 0.0, "stop")
UNKNOWN, SLOW, MUTE = ("error", 0.0, "stop"), ("timeout", 0.0, "stop"), ("no_answer", 0.0, "stop")
CUT = ("no_answer", 0.0, "length")
FAILED = ScoredGroup(
    rollout=RolloutGroup(prompt=a_prompt(), completions=(), sampler="s", failure="too long"),
    scores=(),
)


# --- outcome -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        ([RIGHT, WRONG], "signal"),
        ([RIGHT, RIGHT], "all_right"),
        ([WRONG, MUTE, SLOW, CUT], "all_wrong"),
        ([RIGHT, ("incorrect", 1.0, "stop")], "equal"),
        ([RIGHT] * 7 + [UNKNOWN], "all_right"),  # not a signal: it was one, when 0 was a reward
        ([WRONG, WRONG, UNKNOWN], "all_wrong"),
        ([RIGHT, WRONG, UNKNOWN], "signal"),
        ([RIGHT, UNKNOWN, UNKNOWN], "all_unverified"),
        ([UNKNOWN, UNKNOWN], "all_unverified"),
        ([RIGHT, ("correct", 0.8, "stop")], "signal"),
        ([RIGHT, CUT], "signal"),
    ],
)
def test_a_group_is_told_by_its_verified_completions(judged, expected: Outcome) -> None:
    assert outcome(a_judged_group(*judged), KEPT) == expected


def test_a_group_that_could_not_be_sampled_has_failed() -> None:
    assert outcome(FAILED, KEPT) == "failed"


def test_where_truncated_completions_are_masked_a_group_of_them_teaches_nothing() -> None:
    group = a_judged_group(CUT, ("no_answer", -0.5, "length"))
    assert (outcome(group, KEPT), outcome(group, MASKED)) == ("signal", "all_truncated")
    one_ended = a_judged_group(CUT, ("no_answer", -0.5, "length"), WRONG)
    assert outcome(one_ended, MASKED) == "signal"


def test_what_nobody_can_verify_ends_as_failed_and_what_is_equal_as_zero_signal() -> None:
    assert {what for what, end in ENDS_AS.items() if end == "failed"} == {
        "failed", "all_unverified"
    }  # fmt: skip
    assert set(ENDS_AS.values()) == {"failed", "zero_signal"}


# --- the batch ---------------------------------------------------------------------------------


def batch(*groups: ScoredGroup, **algorithm: str):
    overrides = [f"algorithm.{key}={value}" for key, value in algorithm.items()]
    return sequences(groups, load(TOY, overrides))


AGGREGATIONS = ("token", "sequence", "group")


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_what_is_not_verified_is_not_in_the_batch_nor_in_what_a_token_counts(aggregation) -> None:
    mixed = batch(a_judged_group(WRONG, RIGHT, UNKNOWN), aggregation=aggregation)
    assert mixed == batch(a_judged_group(WRONG, RIGHT), aggregation=aggregation)
    assert len(mixed) == 2


def test_a_masked_completion_is_left_out_and_still_counts_in_the_baseline() -> None:
    group, scale = a_judged_group(WRONG, RIGHT, CUT), "none"
    kept, masked = (
        batch(group, truncated=how, advantage_scale=scale) for how in ("kept", "masked")
    )
    assert [s.advantage for s in masked] == [s.advantage for s in kept][:2]
    assert [s.advantage for s in masked] == pytest.approx([-1 / 3, 2 / 3])
    assert [s.weight for s in masked] == [1 / (2 + 3)] * 2
    assert [s.weight for s in kept] == [1 / (2 + 3 + 4)] * 3


@pytest.mark.arithmetic
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_weights_of_what_is_left_add_up_to_one(aggregation) -> None:
    groups = [a_judged_group(WRONG, RIGHT, CUT), a_judged_group(CUT, UNKNOWN, RIGHT, tokens=5)]
    found = batch(*groups, truncated="masked", aggregation=aggregation)
    assert len(found) == 3
    assert sum(s.weight * len(s.completion) for s in found) == pytest.approx(1)


def test_the_baseline_and_the_scale_of_the_recipe_are_used() -> None:
    group = a_judged_group(WRONG, RIGHT)
    found = {
        way: batch(group, baseline=way, advantage_scale="none")[1].advantage
        for way in ("group", "others", "batch")
    }
    assert found == {"group": 0.5, "others": 1.0, "batch": 0.5}
    two = batch(group, a_judged_group(RIGHT, RIGHT, RIGHT), baseline="batch")
    assert two[0].advantage == pytest.approx(-0.8 / (0.5**0.5 + 1e-4))


# --- all that was scored -----------------------------------------------------------------------


def tally(*groups: ScoredGroup) -> Tally:
    found = Tally()
    for group in groups:
        found.add(group, outcome(group, KEPT))
    return found


def test_what_was_scored_is_told_by_outcome_and_by_verdict() -> None:
    found = tally(a_judged_group(RIGHT, CUT, UNKNOWN), a_judged_group(WRONG, WRONG), FAILED)
    assert found.scored() == Scored(
        groups={"signal": 1, "all_wrong": 1, "failed": 1},
        completions={"correct": 1, "no_answer": 1, "error": 1, "incorrect": 2},
        reward=0.25, components={"accuracy": 0.25}, accuracy=0.25,  # of four: one is not verified
        completion_tokens=(2 + 3 + 4 + 2 + 3) / 5, truncated=0.2, language=0.5,
    )  # fmt: skip


def test_of_nothing_there_is_no_mean() -> None:
    nothing = tally(FAILED).scored()
    assert (nothing.reward, nothing.accuracy, nothing.truncated) == (None, None, None)
    assert tally(a_judged_group(UNKNOWN, UNKNOWN)).scored().reward is None


@given(groups=st.lists(scored_groups(), max_size=6), cut=st.integers(0, 6))
def test_a_tally_goes_on_from_its_state_and_counts_every_group_once(groups, cut) -> None:
    begun, later = tally(*groups[:cut]), Tally()
    later.restore(json.loads(json.dumps(begun.state())))
    for group in groups[cut:]:
        later.add(group, outcome(group, KEPT))
    assert later.scored() == tally(*groups).scored()
    assert later.scored().groups == Counter(outcome(group, KEPT) for group in groups)
    verdicts = Counter(score.verdict for group in groups for score in group.scores)
    assert later.scored().completions == verdicts


# --- nothing to learn from ---------------------------------------------------------------------


def test_steps_worth_of_groups_without_signal_are_told_once_with_their_split() -> None:
    drought = Drought(groups_per_step=2)
    seen: list[Outcome] = ["all_right", "all_wrong"] * PATIENCE_STEPS
    said = [drought.see(what) for what in seen]
    assert said[:-1] == [""] * (len(seen) - 1)
    assert "none of the last 8 groups had a signal (4 all right, 4 all wrong)" in said[-1]
    more = [drought.see("all_unverified") for _ in range(2 * PATIENCE_STEPS)]
    assert [bool(line) for line in more] == [False] * 7 + [True]
    assert "last 16 groups had a signal (8 all unverified, 4 all right, 4 all wrong)" in more[-1]


def test_a_group_with_signal_ends_a_drought() -> None:
    drought = Drought(groups_per_step=1)
    seen: list[Outcome] = ["all_right", "all_right", "all_right", "signal"] * 5
    assert {drought.see(what) for what in seen} == {""}
