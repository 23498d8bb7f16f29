"""What `openrs drift` makes of recorded steps."""

from dataclasses import replace

import pytest

from openrs_core.recipe.file import load
from services.supervisor.drift import ROUNDING, drift, still, verdict
from tests.builders import a_step
from tests.learner import TOY

NEAR = replace(a_step(1), tokens=300, log_ratio_mean=0.01, log_ratio_max=0.5, ess=0.99)
FAR = replace(a_step(2), tokens=100, log_ratio_mean=0.05, log_ratio_max=0.1, ess=0.8, outside=0.4)


def test_means_are_over_the_tokens_of_all_steps():
    found = drift([NEAR, FAR])
    assert (found.steps, found.tokens) == (2, 400)
    assert found.log_ratio_mean == pytest.approx((300 * 0.01 + 100 * 0.05) / 400)
    assert found.outside == pytest.approx(100 * 0.4 / 400)
    assert (found.log_ratio_max, found.ess) == (0.5, 0.8)


@pytest.mark.parametrize("dtype", list(ROUNDING))
def test_what_rounding_can_make_is_no_difference_and_more_is_one(dtype):
    for share, words in ((0.9, "compute the same model:"), (1.1, "do NOT compute the same model:")):
        step = replace(NEAR, log_ratio_mean=share * ROUNDING[dtype])
        assert words in verdict(drift([step]), dtype)


def test_the_recipe_of_a_drift_run_moves_nothing_and_evaluates_nothing():
    recipe = load(TOY, still(7))
    assert (recipe.learner.lr, recipe.learner.steps, recipe.data.held_out) == (0, 7, "")
    assert recipe.learner.checkpoint_every > 7
