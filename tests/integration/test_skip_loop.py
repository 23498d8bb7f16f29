"""What the learner's loop makes of steps that are not made: real Redis, a fake trainer."""

import json
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from openrs_core.errors import LearningError, RunError
from openrs_core.ledger import Policy
from services.learner.health import Health
from services.learner.loop import Learner
from tests.learner import FakeTrainer, a_learner, answering, half_right

pytestmark = pytest.mark.redis
RULES = [
    "learner.groups_per_step=2", "learner.group_size=2",
    "learner.steps=8", "learner.checkpoint_every=4", "learner.most_skipped=3",
]  # fmt: skip


@pytest.fixture
def answers(queue):
    with answering(queue, half_right):
        yield


def a_skipping_learner(queue, directory: Path, *norms: float, staleness: int = 1) -> Learner:
    overrides = [*RULES, f"learner.max_staleness={staleness}"]
    return a_learner(queue("learner"), directory, overrides, FakeTrainer(*norms))


def lines(directory: Path, kind: str) -> list[dict]:
    found = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["kind"] == kind]


def skips() -> float:
    name, labels = "openrs_learner_steps_skipped_total", {"reason": "spike"}
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("staleness", [0, 1, 3])
def test_a_skipped_step_makes_no_version_and_its_groups_end_as_failed(
    queue, tmp_path, answers, staleness
):
    norms, before = [*[1.0] * 5, 50.0, 1.0, 60.0, 1.0, 1.0], skips()
    learner = a_skipping_learner(queue, tmp_path, *norms, staleness=staleness)
    learner.run()
    assert learner.reached == Policy(1, 8)
    assert learner.outlet.publisher.versions == [1, 2, 3, 4, 5, 6, 7, 8]
    balance = learner.admission.ledger.balance()
    assert (balance["trained"], balance["failed"]) == (16, 4)
    assert [line["version"] for line in lines(tmp_path, "step")] == [1, 2, 3, 4, 5, 6, 7, 8]
    first, second = lines(tmp_path, "skipped")
    assert (first["version"], second["version"], first["grad_norm"]) == (5, 6, 50.0)
    assert first["reason"] == "gradient norm 50 is 50 times its moving average 1"
    assert len(first["groups"]) == 2
    assert skips() - before == 2
    trained_or_failed = {g["group_id"] for kind in ("step", "skipped")
                         for line in lines(tmp_path, kind) for g in line["groups"]}  # fmt: skip
    assert len(trained_or_failed) == 20, "no group was used twice"


def test_the_next_checkpoint_acknowledges_them(queue, tmp_path, answers):
    learner = a_skipping_learner(queue, tmp_path, *[1.0] * 5, 50.0, *[1.0] * 3)
    learner.run()
    assert not learner.admission.issuer._settled
    in_flight = len(learner.admission.ledger.in_flight)
    assert queue().depth("prompts") + queue().depth("rollouts") + queue().depth("scored") <= (
        in_flight
    )


def test_too_many_in_a_row_end_the_run_with_reason_and_remedy(queue, tmp_path, answers):
    learner = a_skipping_learner(queue, tmp_path, *[1.0] * 5, 34.0, 34.0, 34.0)
    with pytest.raises(LearningError) as said:
        learner.run()
    line = str(said.value)
    assert "gradient norm 34 is 34 times its moving average 1; 3 steps in a row" in line
    checkpoint = tmp_path / "checkpoints" / "step-000004"
    assert f"the newest good checkpoint is {checkpoint}. Begin a new run" in line
    assert "lower learner.lr" in line
    assert learner.checkpoints.newest() == checkpoint, "none was written on the way out"


def test_a_resumed_run_knows_what_is_usual(queue, tmp_path, answers):
    learner = a_skipping_learner(queue, tmp_path, *[1.0] * 8)
    learner.run()
    state = learner.checkpoints.load(learner.checkpoints.newest(), learner.recipe.fingerprint)
    resumed = Health(learner.recipe.learner)
    resumed.restore(state.health)
    assert resumed.limit == learner.health.limit == pytest.approx(10.0)


def test_a_sampler_of_another_model_ends_the_run_before_anything_is_kept(queue, tmp_path, answers):
    learner = a_skipping_learner(queue, tmp_path, *[1.0] * 8)
    learner.trainer.log_ratio_mean = 0.5
    with pytest.raises(RunError, match="do not compute the same model"):
        learner.run()
    assert len(learner.trainer.batches) == 1
    assert learner.outlet.publisher.versions == []
    assert lines(tmp_path, "step") == []
    assert learner.checkpoints.newest() is None
