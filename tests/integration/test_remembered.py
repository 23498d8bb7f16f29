"""What the choices of learning remember from step to step, and after a death: real Redis, a fake
trainer. That the trainer itself goes on bit for bit: test_resume.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from openrs_core.wire.messages import Prompt, ScoredGroup
from tests.gate import PROBLEMS
from tests.learner import FakeTrainer, a_learner, answered, answering, half_right

pytestmark = pytest.mark.redis

STEPS, CHECKPOINT, DEATH = 24, 16, 20
RULES = [
    "learner.groups_per_step=2", "learner.group_size=2", "learner.max_staleness=0",
    f"learner.steps={STEPS}", f"learner.checkpoint_every={CHECKPOINT}",
]  # fmt: skip
REMEMBERING = [
    "length.first=24", "length.at_steps=[3, 18]", "curriculum.enabled=true",
    "algorithm.entropy_target=2", "algorithm.kl_weight=0.1", "algorithm.reference_reset_every=5",
]  # fmt: skip
WELL = [1.0] * STEPS


def by_problem(prompt: Prompt) -> ScoredGroup:
    """A third of the problems is always solved, a third never; the others now and then."""
    number = int(prompt.prompt_id.removeprefix("p"))
    return answered(prompt, *[(1.0, 1.0), (0.0, 0.0), (1.0, 0.0)][number % 3])


def steps_of(directory: Path, prompts: list[Prompt]) -> dict[int, list[tuple[Any, ...]]]:
    """Of each step the groups it was made of; a later life's stands for an earlier one's."""
    issued = {prompt.group_id: prompt for prompt in prompts}
    lines = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return {
        line["version"]: [
            (prompt.position, prompt.prompt_id, prompt.sampling.max_tokens)
            for prompt in (issued[group["group_id"]] for group in line["groups"])
        ]
        for line in lines
        if line["kind"] == "step"
    }


def run(queue, directory: Path, norms: list[float], *, life: int = 1) -> FakeTrainer:
    """One life, to its end or its death."""
    directory.mkdir(exist_ok=True)
    trainer = FakeTrainer(*norms)
    learner = a_learner(
        queue("learner", 0.5), directory, [*RULES, *REMEMBERING], trainer, life=life
    )
    learner.run()
    return trainer


def test_a_run_that_died_goes_on_with_the_same_prompts_lengths_and_weights(
    queue, client, tmp_path
) -> None:
    """Its lost steps are made again of the same problems, under the same limit, with the same
    sequences, weight of entropy and resets."""
    with answering(queue, by_problem) as prompts:
        whole = run(queue, tmp_path / "whole", WELL)
        expected = steps_of(tmp_path / "whole", prompts)
    client.flushall()
    with answering(queue, by_problem) as prompts:
        with pytest.raises(StopIteration):
            run(queue, tmp_path / "died", WELL[:DEATH])
        later = run(queue, tmp_path / "died", WELL, life=2)
        found = steps_of(tmp_path / "died", prompts)
    assert found == expected
    assert later.batches == whole.batches[CHECKPOINT:]
    assert later.entropy_weights == whole.entropy_weights[CHECKPOINT:]
    assert [CHECKPOINT + at for at in later.resets] == [
        at for at in whole.resets if at > CHECKPOINT
    ]
    epochs = [
        position // len(PROBLEMS) for groups in expected.values() for position, _, _ in groups
    ]
    assert max(epochs) > 0, "or the difficulty of no problem has mattered"
    assert {tokens for groups in expected.values() for _, _, tokens in groups} == {24, 48, 96}


def test_problems_that_are_always_or_never_solved_are_passed_over(queue, tmp_path) -> None:
    with answering(queue, by_problem) as prompts:
        run(queue, tmp_path, WELL)
    later = [p for p in prompts if len(PROBLEMS) <= p.position < 2 * len(PROBLEMS)]
    assert later, "the second epoch was begun"
    assert {int(p.prompt_id.removeprefix("p")) % 3 for p in later} == {2}


def test_the_reference_is_reset_after_every_so_many_steps_and_entropy_is_led(
    queue, tmp_path
) -> None:
    with answering(queue, half_right):
        trainer = run(queue, tmp_path, WELL)
    assert trainer.resets == [5, 10, 15, 20]
    assert trainer.entropy_weights[:4] == pytest.approx([0.0, 0.005, 0.01, 0.015])


def test_by_default_nothing_is_reset_and_entropy_weighs_nothing(queue, tmp_path) -> None:
    trainer = FakeTrainer(*WELL)
    with answering(queue, half_right) as prompts:
        a_learner(queue("learner"), tmp_path, RULES, trainer).run()
    assert trainer.resets == []
    assert set(trainer.entropy_weights) == {0.0}
    assert {prompt.sampling.max_tokens for prompt in prompts} == {96}
    assert {prompt.position for prompt in prompts} >= set(range(2 * STEPS))
