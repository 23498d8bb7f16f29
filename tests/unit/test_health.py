"""What counts as a spike, and when it is enough."""

import math
from pathlib import Path

import pytest

from openrs_core.errors import RunError
from openrs_core.recipe.learner import LearnerSection
from services.learner.health import FARTHEST, SETTLING_STEPS, SHARE, Health
from services.learner.step import StepStats
from tests.builders import step_stats


def rules(**changes) -> LearnerSection:
    return LearnerSection(steps=9, groups_per_step=1, group_size=2, **changes)


def a_step(norm: float, skipped: str = "", loss: float = 0.5) -> StepStats:
    return step_stats(loss=loss, grad_norm=norm, skipped=skipped)


def after(*norms: float, **changes) -> Health:
    health = Health(rules(**changes))
    for norm in norms:
        health.made(a_step(norm))
    return health


def test_the_first_steps_are_not_judged():
    for made in range(SETTLING_STEPS):
        assert after(*[1.0] * made).limit == math.inf
    assert after(*[1.0] * SETTLING_STEPS).limit == pytest.approx(10.0)


def test_the_average_begins_with_the_first_norm_and_moves_by_a_share():
    assert after(*[2.0] * 5, 12.0).limit == pytest.approx(10 * (2.0 + SHARE * 10.0))


FAR = step_stats(log_ratio_mean=1.1 * FARTHEST)
NEAR = step_stats(log_ratio_mean=0.9 * FARTHEST)


def test_a_first_step_far_from_the_policy_that_drew_it_ends_the_run():
    with pytest.raises(RunError, match=r"mean \|log ratio\| 0\.22 .* at most 0\.2 .*model\.path"):
        Health(rules()).compare(FAR, staleness=0)


def test_only_the_first_step_is_compared_that_is_of_the_policy_itself():
    health = Health(rules())
    health.compare(FAR, staleness=1)  # its policy has moved since: that is no fault
    health.compare(NEAR, staleness=0)
    health.compare(FAR, staleness=0)
    with pytest.raises(RunError):
        Health(rules()).compare(FAR, staleness=0)


def test_where_nothing_moves_any_distance_may_be_measured():
    Health(rules(lr=0.0)).compare(FAR, staleness=0)


def test_a_factor_of_0_judges_no_spike():
    assert after(*[1.0] * 20, spike_factor=0.0).limit == math.inf


def test_a_gradient_that_was_always_0_sets_no_limit():
    assert after(*[0.0] * 20).limit == math.inf


def test_a_skipped_step_does_not_move_the_average():
    health = after(*[1.0] * 20)
    health.skipped(a_step(1e9, "spike"))
    assert health.limit == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        (a_step(math.inf, "loss", loss=math.nan), "the loss is nan"),
        (a_step(math.inf, "gradient"), "the gradient is not finite"),
        (a_step(812.3, "spike"), "gradient norm 812.3 is 34 times its moving average 23.9"),
    ],
)
def test_a_reason_is_said_in_words(stats, said):
    assert after(*[23.9] * 20).skipped(stats) == said


def test_only_skipped_steps_in_a_row_end_the_run():
    health = after(*[1.0] * 20, most_skipped=3)
    for _ in range(5):
        for _ in range(2):
            health.skipped(a_step(99.0, "spike"))
            assert not health.is_over
        health.made(a_step(1.0))
    for _ in range(3):
        reason = health.skipped(a_step(99.0, "spike"))
    assert health.is_over
    line = health.verdict(reason, Path("runs/r/checkpoints/step-000020"))
    assert "gradient norm 99 is 99 times its moving average 1; 3 steps in a row" in line
    assert "the newest good checkpoint is runs/r/checkpoints/step-000020" in line
    assert "lower learner.lr" in line
    assert "higher learner.spike_factor" in line
    assert "\n" not in line
    assert "no checkpoint is there yet" in health.verdict(reason, None)


def test_a_resumed_health_goes_on_as_it_was():
    health = after(3.0, 1.0, 4.0, 1.0, 5.0, 9.0)
    health.skipped(a_step(99.0, "spike"))
    resumed = Health(rules())
    resumed.restore(health.state())
    assert resumed.state() == health.state()
    assert resumed.limit == health.limit
