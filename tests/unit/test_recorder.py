"""What the learner puts on record of a step, and shows of it."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from openrs_core.ledger import Issued, Policy
from openrs_core.recipe.file import load
from openrs_core.record.lines import Spent
from openrs_core.record.reader import read_record
from services.learner.admission import Collected
from services.learner.algorithm.outcome import outcome
from services.learner.algorithm.schedule import learning_rate
from services.learner.algorithm.scored import Tally
from services.learner.recorder import Recorder
from tests.builders import a_judged_group, step_stats

RECIPE = load(Path(__file__).parents[2] / "recipes" / "toy.toml", ["learner.warmup_steps=10"])
MADE = Policy(1, 3)
MIXED = a_judged_group(
    ("correct", 1.0, "stop"), ("incorrect", 0.0, "stop"), ("error", 0.0, "length")
)
RIGHT = a_judged_group(("correct", 1.0, "stop"), ("correct", 1.0, "stop"))


@pytest.fixture
def recorded(tmp_path):
    """One step of one group, while another came back without a signal."""
    tally = Tally()
    for group in (MIXED, RIGHT):
        tally.add(group, outcome(group, RECIPE.algorithm))
    collected = Collected(Issued("1.1", 0, Policy(1, 2)), MIXED, 1)
    spent = Spent(collect=1.0, train=1.0, publish=0.0)
    Recorder(tmp_path, RECIPE).step(MADE, [collected], step_stats(), tally.scored(), spent)
    [line] = read_record(tmp_path).steps
    return line


def test_a_completion_that_could_not_be_verified_is_in_no_mean_of_rewards(recorded):
    assert (recorded.reward, recorded.accuracy) == (0.5, 0.5)
    assert recorded.components == {"accuracy": 0.5}
    assert (recorded.completions, recorded.truncated) == (3, 1 / 3)


def test_groups_without_a_signal_are_on_record_too(recorded):
    assert recorded.scored.groups == {"signal": 1, "all_right": 1}
    assert recorded.scored.completions == {"correct": 3, "incorrect": 1, "error": 1}
    assert recorded.scored.accuracy == 0.75
    assert recorded.scored.language == 0.5


def test_the_learning_rate_on_record_is_that_of_the_step_from_the_version_before(recorded):
    assert recorded.lr == learning_rate(2, RECIPE.learner)


def test_prometheus_is_shown_what_came_back_all_of_it(tmp_path, recorded):
    shown = REGISTRY.get_sample_value
    assert shown("openrs_learner_scored_accuracy") == 0.75
    assert shown("openrs_learner_groups_scored_total", {"outcome": "all_right"}) >= 1
    assert shown("openrs_learner_verdicts_total", {"verdict": "error"}) >= 1
