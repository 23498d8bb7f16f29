"""An evaluation is of the policy that it is named after, whatever the training does meanwhile.

The learner's loop, gate, ledger and evaluation are the real ones, and so is Redis. A sampler that
always answers with the newest policy that it can see plays the other half of the ring.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path

import pytest

from openrs_core.record.lines import EvaluationLine, UnevaluatedLine
from openrs_core.record.reader import read_record
from openrs_core.ring.keys import Keys
from openrs_core.wire.messages import PolicyRun, Prompt, ScoredGroup
from services.learner.loop import Learner
from tests.builders import a_scored_group
from tests.learner import FakeTrainer, a_learner

pytestmark = pytest.mark.redis

RULES = (
    "learner.groups_per_step=4", "learner.group_size=4", "learner.checkpoint_every=7",
    "learner.max_staleness=2", "learner.steps=20", "evaluation.every=5",
)  # fmt: skip


@dataclass
class Sampler:
    """Answers under the newest policy there is; so many turns late where an evaluation asks."""

    learner: Learner
    late: int = 0
    made: list[ScoredGroup] = field(default_factory=list)
    """The evaluation's groups, as they were made."""
    steps: dict[int, int] = field(default_factory=dict)
    """Version evaluated -> the farthest step that the learner had made meanwhile."""

    def work(self, queue, stop: threading.Event) -> None:
        waiting = []
        while not stop.is_set():
            taken = queue.read("prompts", Prompt, 64, 0.005)
            waiting = [(delivery, age + 1) for delivery, age in waiting]
            waiting += [(delivery, 0) for delivery in taken]
            ready = [d for d, age in waiting if d.message.purpose == "train" or age >= self.late]
            waiting = [pair for pair in waiting if pair[0] not in ready]
            for delivery in ready:
                queue.forward(delivery, "scored", self.answer(delivery.message))

    def answer(self, prompt: Prompt) -> ScoredGroup:
        made_by = self.learner.outlet.publisher.published
        size = prompt.sampling.group_size
        group = a_scored_group(prompt, rewards=[float(n % 2) for n in range(size)])
        run = PolicyRun(incarnation=made_by.incarnation, version=made_by.version, count=2)
        drawn = tuple(replace(each, policies=(run,)) for each in group.rollout.completions)
        group = replace(group, rollout=replace(group.rollout, completions=drawn))
        if prompt.purpose == "eval":
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
            if (run.incarnation, run.version)
            != (group.rollout.prompt.incarnation, group.rollout.prompt.issued_version)
        ]


@contextmanager
def sampling(queue, learner: Learner, late: int = 0) -> Iterator[Sampler]:
    sampler, stop = Sampler(learner, late), threading.Event()
    thread = threading.Thread(target=sampler.work, args=(queue("sampler"), stop))
    thread.start()
    try:
        yield sampler
    finally:
        stop.set()
        thread.join()


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
        assert [(line.mode, line.completions) for line in lines] == [
            ("sampled", 30 * samples),
            ("greedy", 30),
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
