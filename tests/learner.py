"""A learner's loop with a fake at every end of it but Redis."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.ring.queue import Queue
from openrs_core.weights import Change
from openrs_core.wire.messages import PolicyRun, Prompt, ScoredGroup
from services.learner.best import Best
from services.learner.checkpoints import Checkpoints
from services.learner.health import Health
from services.learner.loop import Learner
from services.learner.outlet import Outlet
from services.learner.recorder import Recorder
from services.learner.step import Sequence, StepStats
from tests.builders import a_scored_group, step_stats
from tests.fakes import FakeSaves, FakeTokenizer
from tests.gate import an_admission

TOY = Path(__file__).parents[1] / "recipes" / "toy.toml"


class FakeTrainer(FakeSaves):
    """Makes steps with these gradient norms, as a real one would: none above the limit. Where there
    are no more norms, it dies."""

    def __init__(self, *norms: float) -> None:
        super().__init__()
        self.norms = iter(norms)
        self.batches: list[list[Sequence]] = []
        self.entropy_weights: list[float] = []
        self.log_ratio_mean = 0.0
        self.resets: list[int] = []
        """After so many calls of `train` the reference was reset."""
        self.changes: list[int] = []
        """After so many calls of `train` it was asked what had changed."""

    def train(
        self, sequences: list[Sequence], lr: float, norm_limit: float, entropy_weight: float
    ) -> StepStats:
        self.batches.append(sequences)
        self.entropy_weights.append(entropy_weight)
        norm = next(self.norms)
        skipped = "spike" if norm > norm_limit else ""
        return step_stats(
            loss=0.1, grad_norm=norm, skipped=skipped, log_ratio_mean=self.log_ratio_mean
        )

    def reset_reference(self) -> None:
        self.resets.append(len(self.batches))

    def change(self) -> Change:
        self.changes.append(len(self.batches))
        return Change(())

    def write_policy(self, policy: Policy, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "config.json").write_text(f"{policy.incarnation}:{policy.version}")


class FakePublisher:
    """What is published is visible at once; its weights are its name."""

    is_full = has_ended = False

    def __init__(self) -> None:
        self.published = Policy(1, 0)
        self.versions: list[int] = []

    def publish(self, policy: Policy, _change: Change) -> None:
        self.published = policy
        self.versions.append(policy.version)

    @property
    def snapshot(self) -> Policy:
        return self.published

    def drain(self, _seconds: float | None = None) -> bool:
        return True

    def finished(self) -> list:
        return []


class FakeLease:
    def confirm(self) -> None:
        """It is ours."""


@contextmanager
def answering(
    queue: Callable[..., Queue], answer: Callable[[Prompt], ScoredGroup]
) -> Iterator[list[Prompt]]:
    """Plays sampler and scorer for every prompt, in turn; the prompts it was given."""
    stop, seen = threading.Event(), []

    def work() -> None:
        worker = queue("worker")
        while not stop.is_set():
            for delivery in worker.read("prompts", Prompt, 8, 0.05):
                seen.append(delivery.message)
                worker.forward(delivery, "scored", answer(delivery.message))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def answered(prompt: Prompt, *rewards: float) -> ScoredGroup:
    """Completions by the newest policy when the prompt was issued."""
    group = a_scored_group(prompt, rewards=rewards)
    made_by = PolicyRun(incarnation=prompt.incarnation, version=prompt.issued_version, count=2)
    drawn = tuple(replace(each, policies=(made_by,)) for each in group.rollout.completions)
    return replace(group, rollout=replace(group.rollout, completions=drawn))


def half_right(prompt: Prompt) -> ScoredGroup:
    """One completion is right, the other wrong."""
    return answered(prompt, 1.0, 0.0)


def a_learner(
    queue: Queue,
    directory: Path,
    overrides: list[str],
    trainer: FakeTrainer,
    *,
    life: int = 1,
    held_out: int = 0,
) -> Learner:
    """Of the toy's recipe with these overrides; it has begun, but not run. As many problems as
    asked for are evaluated."""
    recipe = load(TOY, overrides)
    admission = an_admission(queue, recipe, held_out=held_out)
    recorder, lease = Recorder(directory, recipe), FakeLease()
    outlet = Outlet(
        trainer=trainer,
        publisher=FakePublisher(),
        evaluation=admission._evaluation,
        recorder=recorder,
        best=Best(directory / "checkpoints", recipe.best_set, FakeTokenizer()),
        lease=lease,
        last=recipe.learner.steps,
    )
    learner = Learner(
        recipe=recipe,
        trainer=trainer,
        admission=admission,
        outlet=outlet,
        checkpoints=Checkpoints(directory / "checkpoints", 2, FakeTokenizer()),
        recorder=recorder,
        lease=lease,
        health=Health(recipe.learner),
        stop=threading.Event(),
    )
    learner.restore(life)
    learner.outlet.publisher.published = learner.reached
    return learner
