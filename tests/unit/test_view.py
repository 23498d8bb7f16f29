"""What a person sees of a run."""

import pytest

from openrs_core.record.lines import UnevaluatedLine
from services.supervisor.view import accuracies, curve, plain
from tests.builders import a_step, an_evaluation


def test_a_curve_fits_its_place_whatever_its_length():
    assert curve([0.0, 0.5, 1.0]) == "▁▄█"
    assert len(curve([float(n) for n in range(1000)])) <= 40
    assert curve([3.0, 3.0]) == "▁▁"


def test_a_step_is_one_line_in_a_log():
    assert plain(a_step(7), steps=60) == (
        "step 7/60  reward 0.500  accuracy 0.500  length 9.0  staleness 1  3.00 s"
    )


@pytest.mark.parametrize("mode", ["sampled", "greedy"])
def test_an_evaluation_is_one_line_in_a_log(mode):
    assert plain(an_evaluation(20, mode=mode), steps=60) == (
        f"held-out accuracy 0.750 ± 0.027 ({mode}, policy 20, 256 problems, 13.2 tokens, "
        "12.5% cut off)"
    )


def test_a_set_with_a_name_is_called_by_it_and_one_problem_has_no_error():
    line = an_evaluation(20, set="aime24", standard_error=None)
    assert plain(line, steps=60).startswith("accuracy on aime24 0.750 (sampled, policy 20")


def test_a_version_that_was_passed_over_is_said_with_the_reason():
    line = UnevaluatedLine(version=12, reason="version 10 was still being evaluated")
    assert plain(line, steps=60) == (
        "version 12 is not evaluated: version 10 was still being evaluated"
    )


def test_the_table_shows_each_set_and_mode_by_itself():
    lines = [
        an_evaluation(version, set=name, mode=mode, accuracy=accuracy)
        for version, accuracy in ((0, 0.25), (20, 0.5))
        for name in ("aime24", "amc23")
        for mode in ("sampled", "greedy")
    ]
    rows = accuracies(lines)
    assert [name for name, _ in rows] == [
        f"accuracy on {name}, {mode}"
        for name in ("aime24", "amc23")
        for mode in ("sampled", "greedy")
    ]
    assert {shown for _, shown in rows} == {"0.250 → 0.500 ± 0.027"}
    assert accuracies([]) == [("held-out accuracy", "waiting for the first evaluation")]
