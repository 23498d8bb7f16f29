"""What the learner puts on record of a step, and shows of it."""

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from openrs_core.ledger import Issued, Policy
from openrs_core.recipe.file import load
from openrs_core.record.lines import Spent
from openrs_core.record.reader import read_record
from services.issuing.problems import Problems
from services.learner.admission import Collected
from services.learner.algorithm.outcome import outcome
from services.learner.algorithm.schedule import learning_rate
from services.learner.algorithm.scored import Tally
from services.learner.recorder import Recorder
from tests.builders import a_judged_group, an_evaluation, step_stats

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


def test_a_life_says_how_many_problems_it_trains_on(tmp_path):
    Recorder(tmp_path, RECIPE, Problems([], 0, too_long=3)).life(Policy(1, 0))
    Recorder(tmp_path, RECIPE).life(Policy(2, 0))
    found = [(life.problems, life.too_long) for life in read_record(tmp_path).lives]
    assert found == [(0, 3), (None, 0)]


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


SETS = ["evaluation.sets=[{name='easy'}, {name='hard', greedy=false}]"]


def a_recorder(directory: Path) -> Recorder:
    """Of two sets: three parts to every evaluation."""
    return Recorder(directory, load(Path(__file__).parents[2] / "recipes" / "toy.toml", SETS))


def test_a_version_is_evaluated_when_every_part_of_it_is_on_record(tmp_path):
    recorder = a_recorder(tmp_path)
    for name, mode in (("easy", "sampled"), ("easy", "greedy"), ("hard", "sampled")):
        assert recorder.settled() == set()
        recorder.evaluated(an_evaluation(20, set=name, mode=mode))
    assert recorder.settled() == {20}
    recorder.unevaluated(40, "its weights are gone")
    assert recorder.settled() == {20, 40}


def test_prometheus_is_shown_each_set_by_itself(tmp_path):
    recorder = a_recorder(tmp_path)
    for name, accuracy, truncated in (("easy", 0.75, 0.0), ("hard", 0.25, 0.5)):
        recorder.evaluated(an_evaluation(20, set=name, accuracy=accuracy, truncated=truncated))
    for name, accuracy, truncated in (("easy", 0.75, 0.0), ("hard", 0.25, 0.5)):
        labels, shown = {"set": name, "mode": "sampled"}, REGISTRY.get_sample_value
        assert shown("openrs_learner_held_out_accuracy", labels) == accuracy
        assert shown("openrs_learner_held_out_truncated_ratio", labels) == truncated


def test_the_summary_has_the_first_set_and_all_of_them_by_name(tmp_path):
    recorder = a_recorder(tmp_path)
    for version, name, accuracy in ((0, "hard", 0.1), (0, "easy", 0.25), (60, "easy", 0.5)):
        recorder.evaluated(an_evaluation(version, set=name, accuracy=accuracy))
    recorder.evaluated(an_evaluation(60, set="easy", mode="greedy", accuracy=0.9))
    recorder.unevaluated(20, "it was too early")
    found = recorder.summary({"issued": 0}, wall_seconds=1.0)
    assert (found["held_out_before"], found["held_out_after"]) == (0.25, 0.5)
    assert found["sets"] == {
        "easy": {"before": 0.25, "after": 0.5},
        "hard": {"before": 0.1, "after": 0.1},
    }
    assert found["unevaluated"] == [20]
