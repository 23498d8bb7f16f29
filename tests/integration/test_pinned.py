"""An evaluation is of the policy that it is named after, whatever the training does meanwhile.

The learner's loop, gate, ledger and evaluation are the real ones, and so is Redis. A sampler that
always answers with the newest policy that it can see plays the other half of the ring.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path

import pytest

from openrs_core.ledger import Policy
from openrs_core.record.lines import EvaluationLine, UnevaluatedLine
from openrs_core.record.reader import read_record
from openrs_core.ring.keys import Keys
from openrs_core.wire.messages import PolicyRun, Prompt, ScoredGroup
from services.learner.loop import Learner
from tests.builders import a_scored_group
from tests.conftest import wait_until
from tests.learner import FakeTrainer, a_learner

pytestmark = pytest.mark.redis

RULES = (
    "learner.groups_per_step=4", "learner.group_size=4", "learner.checkpoint_every=7",
    "learner.max_staleness=2", "learner.steps=20", "evaluation.every=5",
)  # fmt: skip


RIGHT = {0: 3, 5: 12, 10: 24, 15: 21, 20: 18}
"""How many of thirty problems the policy of a version knows; others know six."""


@dataclass
class Sampler:
    """Answers under the newest policy there is; so many turns late where an evaluation asks."""

    learner: Learner
    late: int = 0
    deaf: Callable[[Prompt], bool] = lambda _: False
    """Prompts that are never answered."""
    made: list[ScoredGroup] = field(default_factory=list)
    """The evaluation's groups, as they were made."""
    steps: dict[int, int] = field(default_factory=dict)
    """Version evaluated -> the farthest step that the learner had made meanwhile."""

    def work(self, queue, stop: threading.Event) -> None:
        waiting = []
        while not stop.is_set():
            taken = queue.read("prompts", Prompt, 64, 0.005)
            waiting = [(delivery, age + 1) for delivery, age in waiting]
            waiting += [(delivery, 0) for delivery in taken if not self.deaf(delivery.message)]
            ready = [d for d, age in waiting if d.message.purpose == "train" or age >= self.late]
            waiting = [pair for pair in waiting if pair[0] not in ready]
            for delivery in ready:
                queue.forward(delivery, "scored", self.answer(delivery.message))

    def answer(self, prompt: Prompt) -> ScoredGroup:
        made_by, size = self.learner.outlet.publisher.published, prompt.sampling.group_size
        rewards = [float(n % 2) for n in range(size)]
        if prompt.purpose == "eval":
            rewards = [float(prompt.position < RIGHT.get(made_by.version, 6))] * size
        group = a_scored_group(prompt, rewards=rewards)
        run = PolicyRun(incarnation=made_by.incarnation, version=made_by.version, count=2)
        drawn = tuple(replace(each, policies=(run,)) for each in group.rollout.completions)
        group = replace(group, rollout=replace(group.rollout, completions=drawn))
        if prompt.purpose == "eval" and prompt.incarnation == made_by.incarnation:
            self.made.append(group)
            version = prompt.issued_version
            farthest = max(self.learner.reached.version, self.steps.get(version, 0))
            self.steps[version] = farthest
        return group

    def strangers(self) -> list[tuple[int, int]]:
        """Label and true policy of what another policy answered than the label says."""
        return [
            (group.rollout.prompt.issued_version, run.version)
            for group in self.made
            for completion in group.rollout.completions
            for run in completion.policies
            if run.version != group.rollout.prompt.issued_version
        ]


@contextmanager
def sampling(
    queue, learner: Learner, late: int = 0, deaf: Callable[[Prompt], bool] = lambda _: False
) -> Iterator[Sampler]:
    sampler, stop = Sampler(learner, late, deaf), threading.Event()
    thread = threading.Thread(target=sampler.work, args=(queue("sampler"), stop))
    thread.start()
    try:
        yield sampler
    finally:
        stop.set()
        thread.join()


@contextmanager
def meanwhile(what: Callable[[], None]) -> Iterator[None]:
    """Beside the learner's loop; a failure is raised at the end."""
    with ThreadPoolExecutor(1) as one:
        done = one.submit(what)
        yield
        done.result()


def learner_of(queue, directory: Path, *more: str, life: int = 1, held_out: int = 30) -> Learner:
    trainer = FakeTrainer(*repeat(1.0, 200))
    overrides = [*RULES, *more]
    return a_learner(queue("learner"), directory, overrides, trainer, life=life, held_out=held_out)


def evaluated(directory: Path) -> dict[int, list[EvaluationLine]]:
    found: dict[int, list[EvaluationLine]] = {}
    for line in read_record(directory).evaluations:
        found.setdefault(line.version, []).append(line)
    return found


def passed_over(directory: Path) -> list[UnevaluatedLine]:
    return read_record(directory).unevaluated


def buried(client, run_id: str) -> int:
    return client.xlen(Keys(run_id).buried)


@pytest.mark.parametrize("samples", [1, 4, 16])
def test_every_answer_is_of_the_version_it_is_recorded_as(queue, client, run_id, tmp_path, samples):
    """What the audit simulated: then the answers of version 50 were drawn under 51 to 178."""
    learner = learner_of(queue, tmp_path, f"evaluation.samples={samples}")
    with sampling(queue, learner, late=3) as sampler:
        learner.run()
    assert sampler.strangers() == []
    assert buried(client, run_id) == 0
    found = evaluated(tmp_path)
    assert list(found) == [0, 5, 10, 15, 20]
    for version, lines in found.items():
        assert [(line.mode, line.completions, line.accuracy) for line in lines] == [
            ("sampled", 30 * samples, pytest.approx(RIGHT[version] / 30)),
            ("greedy", 30, pytest.approx(RIGHT[version] / 30)),
        ]
        ours = [g for g in sampler.made if g.rollout.prompt.issued_version == version]
        assert len(ours) == 60
    assert passed_over(tmp_path) == []


@pytest.mark.parametrize("bound", [0, 1, 2, 4])
def test_the_training_goes_on_beside_it_as_far_as_the_bound_lets_it(queue, tmp_path, bound):
    """And no farther: the staleness of what is trained on counts from what is published."""
    learner = learner_of(queue, tmp_path, f"learner.max_staleness={bound}")
    with sampling(queue, learner, late=12) as sampler:
        learner.run()
    ahead = {v: reached - v for v, reached in sampler.steps.items() if 0 < v < 20}
    assert set(ahead.values()) == {bound + 1}
    assert sampler.strangers() == []
    steps = read_record(tmp_path).steps
    assert max(step.staleness_max for step in steps) == bound
    published = learner.outlet.publisher.versions
    assert published == sorted(set(published))
    assert published[-1] == 20
    assert bound == 0 or len(published) < 20, "some were skipped"
    balance = learner.admission.ledger.balance()
    assert balance.pop("issued") == sum(balance.values())


@pytest.mark.parametrize("every", [1, 2])
def test_a_version_whose_turn_comes_too_early_is_passed_over_and_said_so(
    queue, client, run_id, tmp_path, every
):
    """None is evaluated under the name of another or forgotten; the last is never left out."""
    learner = learner_of(queue, tmp_path, f"evaluation.every={every}")
    with sampling(queue, learner, late=10) as sampler:
        learner.run()
    assert sampler.strangers() == []
    assert buried(client, run_id) == 0
    found, missed = set(evaluated(tmp_path)), {line.version for line in passed_over(tmp_path)}
    assert found.isdisjoint(missed)
    assert found | missed == set(range(0, 21, every))
    assert {0, 20} <= found
    assert missed, "the bound lets the learner go three steps ahead"
    for line in passed_over(tmp_path):
        during = max(version for version in found if version < line.version)
        assert line.reason == f"version {during} was still being evaluated when it was made"


def test_the_best_policy_is_kept_although_the_learner_was_ahead_of_it(queue, tmp_path):
    """Its weights are those that were published, not those of the step that the learner is at."""
    learner = learner_of(queue, tmp_path)
    with sampling(queue, learner, late=10) as sampler:
        learner.run()
    assert sampler.steps[10] == 13
    best = tmp_path / "checkpoints" / "best"
    line = json.loads((best / "evaluation.json").read_text())
    assert (line["version"], line["accuracy"]) == (10, pytest.approx(0.8))
    assert (best / "model" / "config.json").read_text() == "1:10"


def next_life(queue, directory: Path, *more: str) -> Sampler:
    """A second life, which goes to the end."""
    later = learner_of(queue, directory, *more, life=2)
    with sampling(queue, later) as sampler:
        later.run()
    assert later.is_done
    assert sampler.strangers() == []
    return sampler


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_an_evaluation_whose_weights_are_gone_is_not_made_of_others(
    queue, client, run_id, tmp_path, how
):
    """The learner went on to step 8 while version 5 was evaluated; the next life begins above 5:
    at the checkpoint of the stop, or where that was not written at the one of step 7."""
    learner = learner_of(queue, tmp_path)

    def stop() -> None:
        wait_until(lambda: learner.reached.version == 8, "the learner ahead")
        learner.stop.set()

    def unanswered(prompt: Prompt) -> bool:
        return prompt.purpose == "eval" and prompt.issued_version == 5

    with sampling(queue, learner, deaf=unanswered), meanwhile(stop):
        learner.run()
    assert learner.outlet.evaluation.policy == Policy(1, 5)
    newest = {"stopped": 8, "killed": 7}[how]
    if how == "killed":
        shutil.rmtree(tmp_path / "checkpoints" / "step-000008")
    next_life(queue, tmp_path)
    [line] = passed_over(tmp_path)
    assert line.version == 5
    assert line.reason == "the learner went on from a later step before it was finished"
    assert list(evaluated(tmp_path)) == [0, 10, 15, 20]
    assert read_record(tmp_path).lives[-1].version == newest
    assert buried(client, run_id) == 0


def test_an_evaluation_of_the_very_checkpoint_is_made_again(queue, client, run_id, tmp_path):
    """Stopped at step 5, whose evaluation was under way: the next life has the same weights."""
    at_once = "learner.max_staleness=0"
    learner = learner_of(queue, tmp_path, at_once)

    def stop() -> None:
        wait_until(lambda: learner.outlet.evaluation.policy == Policy(1, 5), "the evaluation")
        learner.stop.set()

    with sampling(queue, learner, deaf=lambda prompt: prompt.issued_version == 5), meanwhile(stop):
        learner.run()
    assert learner.reached.version == 5
    next_life(queue, tmp_path, at_once)
    found = evaluated(tmp_path)
    assert [line.incarnation for line in found[5]] == [2, 2]
    assert {version: len(lines) for version, lines in found.items()} == dict.fromkeys(RIGHT, 2)
    assert passed_over(tmp_path) == []


def test_an_evaluation_outlives_a_redis_that_forgets_everything(queue, client, run_id, tmp_path):
    learner = learner_of(queue, tmp_path)

    def empty() -> None:
        wait_until(lambda: learner.outlet.evaluation.policy == Policy(1, 5), "the evaluation")
        client.flushall()

    with sampling(queue, learner, late=5) as sampler, meanwhile(empty):
        learner.run()
    assert sampler.strangers() == []
    assert {version: len(lines) for version, lines in evaluated(tmp_path).items()} == (
        dict.fromkeys(RIGHT, 2)
    )
    assert {line.problems for line in evaluated(tmp_path)[5]} == {30}


def test_an_evaluation_outlives_a_full_redis(queue, client, tmp_path):
    learner = learner_of(queue, tmp_path, "evaluation.samples=4")

    def fill() -> None:
        wait_until(lambda: learner.outlet.evaluation.policy == Policy(1, 5), "the evaluation")
        client.config_set("maxmemory", 1)
        try:
            wait_until(lambda: learner.is_full, "prompts that wait for memory")
        finally:
            client.config_set("maxmemory", 0)

    with sampling(queue, learner, late=5) as sampler, meanwhile(fill):
        learner.run()
    assert sampler.strangers() == []
    assert list(evaluated(tmp_path)) == list(RIGHT)
