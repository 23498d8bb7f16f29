"""What the learner's loop makes of steps that are not made: real Redis, a fake trainer."""

import json
import threading
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from openrs_core.errors import LearningError
from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.weights import Change
from openrs_core.wire.messages import Prompt
from services.learner.checkpoints import Checkpoints
from services.learner.health import Health
from services.learner.loop import Learner
from services.learner.recorder import Recorder
from services.learner.step import StepStats
from tests.builders import a_scored_group, step_stats
from tests.fakes import FakeSaves, FakeTokenizer
from tests.gate import an_admission

pytestmark = pytest.mark.redis
TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"
RULES = [
    "learner.groups_per_step=2", "learner.group_size=2",
    "learner.steps=8", "learner.checkpoint_every=4", "learner.most_skipped=3",
]  # fmt: skip


class FakeTrainer(FakeSaves):
    """Makes steps with these gradient norms, as a real one would: none above the limit."""

    def __init__(self, *norms: float) -> None:
        super().__init__()
        self.norms = iter(norms)

    def train(self, sequences, lr: float, norm_limit: float) -> StepStats:
        norm = next(self.norms)
        skipped = "spike" if norm > norm_limit else ""
        return step_stats(loss=0.1, grad_norm=norm, skipped=skipped)

    def change(self) -> Change:
        return Change(())


class FakePublisher:
    """What is published is visible at once."""

    is_full = has_ended = False

    def __init__(self) -> None:
        self.published = Policy(1, 0)
        self.versions: list[int] = []

    def publish(self, policy: Policy, _change: Change) -> None:
        self.published = policy
        self.versions.append(policy.version)

    def drain(self, _seconds: float | None = None) -> bool:
        return True

    def finished(self) -> list:
        return []


class FakeLease:
    def confirm(self) -> None:
        """It is ours."""


@pytest.fixture
def answers(queue):
    """Plays sampler and scorer for every prompt, until the test is over."""
    stop = threading.Event()

    def answer() -> None:
        worker = queue("worker")
        while not stop.is_set():
            for delivery in worker.read("prompts", Prompt, 8, 0.05):
                prompt = delivery.message
                group = a_scored_group(prompt, version=prompt.issued_version)
                worker.forward(delivery, "scored", group)

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    stop.set()
    thread.join()


def a_learner(queue, directory: Path, *norms: float, staleness: int = 1) -> Learner:
    recipe = load(TOY, [*RULES, f"learner.max_staleness={staleness}"])
    admission = an_admission(queue("learner"), recipe)
    learner = Learner(
        recipe=recipe,
        trainer=FakeTrainer(*norms),
        admission=admission,
        evaluation=admission._evaluation,
        publisher=FakePublisher(),
        checkpoints=Checkpoints(directory / "checkpoints", 2, FakeTokenizer()),
        recorder=Recorder(directory, recipe),
        lease=FakeLease(),
        health=Health(recipe.learner),
        stop=threading.Event(),
    )
    learner.restore(1)
    return learner


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
    learner = a_learner(queue, tmp_path, *norms, staleness=staleness)
    learner.run()
    assert learner.reached == Policy(1, 8)
    assert learner.publisher.versions == [1, 2, 3, 4, 5, 6, 7, 8]
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
    learner = a_learner(queue, tmp_path, *[1.0] * 5, 50.0, *[1.0] * 3)
    learner.run()
    assert not learner.admission.issuer._settled
    in_flight = len(learner.admission.ledger.in_flight)
    assert queue().depth("prompts") + queue().depth("rollouts") + queue().depth("scored") <= (
        in_flight
    )


def test_too_many_in_a_row_end_the_run_with_reason_and_remedy(queue, tmp_path, answers):
    learner = a_learner(queue, tmp_path, *[1.0] * 5, 34.0, 34.0, 34.0)
    with pytest.raises(LearningError) as said:
        learner.run()
    line = str(said.value)
    assert "gradient norm 34 is 34 times its moving average 1; 3 steps in a row" in line
    checkpoint = tmp_path / "checkpoints" / "step-000004"
    assert f"the newest good checkpoint is {checkpoint}. Begin a new run" in line
    assert "lower learner.lr" in line
    assert learner.checkpoints.newest() == checkpoint, "none was written on the way out"


def test_a_resumed_run_knows_what_is_usual(queue, tmp_path, answers):
    learner = a_learner(queue, tmp_path, *[1.0] * 8)
    learner.run()
    state = learner.checkpoints.load(learner.checkpoints.newest(), learner.recipe.fingerprint)
    resumed = Health(learner.recipe.learner)
    resumed.restore(state.health)
    assert resumed.limit == learner.health.limit == pytest.approx(10.0)
