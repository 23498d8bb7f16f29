"""What a person sees of a run."""

import pytest

from openrs_core.record.lines import EvaluationLine
from services.supervisor.view import curve, plain
from tests.builders import a_step


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
    line = EvaluationLine(
        version=20, mode=mode, accuracy=0.75, tokens=13.25, problems=256, completions=256,
        unverified=0, newest_version=21,
    )  # fmt: skip
    assert plain(line, steps=60) == (
        f"held-out accuracy 0.750 ({mode}, policy 20, 256 problems, 13.2 tokens)"
    )
