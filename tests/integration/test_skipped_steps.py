"""A step that would do harm is not made, and leaves nothing behind.

Real DeepSpeed on the CPU, one process and two (gloo), ZeRO 1, 2 and 3, float32 and bfloat16.

`python tests/integration/test_skipped_steps.py MODEL DIRECTORY` is one rank.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from services.learner.step import StepStats
from services.learner.trainer import ranks
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.optimizer_state import Stored
from tests.ranks import run_ranks
from tests.tiny_model import a_batch, tiny_recipe, write_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(600)]

STAGES = (1, 2, 3)
DTYPES = ("float32", "bfloat16")
LR = 1e-4

SICK = {
    "nan": "loss",
    "inf": "loss",
    "loss": "loss",
    "gradient": "gradient",
    "spike": "spike",
}
"""What is wrong with a step, and the reason it is skipped for."""


# --- what the ranks run ------------------------------------------------------------------------


class Sickened(DeepSpeedTrainer):
    """Trains, and can be made to find a loss that is not finite, or a gradient that is not."""

    wrong = ""

    def sick_step(self, wrong: str) -> StepStats:
        self.wrong = wrong
        advantage = {"nan": math.nan, "inf": math.inf}.get(wrong, -1.0)
        limit = 1e-6 if wrong == "spike" else math.inf
        stats = self._train(a_batch(99, advantage), LR, limit)
        self.wrong = ""
        return stats

    def healthy_step(self, seed: int) -> StepStats:
        return self._train(a_batch(seed), LR, 1e6)

    def _loss_of_all_ranks(self, totals):
        loss = super()._loss_of_all_ranks(totals)
        if self.wrong == "loss":  # and the gradient is as always
            return math.nan
        return 0.5 if self.wrong == "gradient" else loss

    def _backward(self, batch, totals):
        if self.wrong == "gradient" and self.rank == dist.get_world_size() - 1:
            batch = replace(batch, advantages=batch.advantages * math.nan)
        super()._backward(batch, totals)


def a_trainer(stage: int, dtype: str, model: str) -> Sickened:
    trainer = Sickened(tiny_recipe(model, dtype, learner={"zero_stage": stage}), model)
    one_by_one = {"tokens_per_micro_batch": 1}
    trainer._rules = trainer._rules.model_copy(update=one_by_one)
    return trainer


def be_a_rank(model: str, directory: Path) -> None:
    """Every rank runs this, so each calls what rank 0 would have told it to do."""
    for dtype, stage in product(DTYPES, STAGES):
        place = directory / dtype / str(stage)
        place.mkdir(parents=True, exist_ok=True)
        trainer, lines = a_trainer(stage, dtype, model), []
        for first, wrong in product((True, False), SICK):
            if not first and wrong == "nan":
                lines += [trainer.healthy_step(0), trainer.healthy_step(1)]
            when = f"{wrong}-{'first' if first else 'later'}"
            trainer._save(place / f"{when}-before")
            weights = [tensor.clone() for _, tensor in trainer._named()]
            lines.append(trainer.sick_step(wrong))
            named = [tensor for _, tensor in trainer._named()]
            assert all(torch.equal(*pair) for pair in zip(weights, named, strict=True)), when
            trainer._save(place / f"{when}-after")
        lines.append(trainer.healthy_step(2))
        trainer._save(place / "end")
        facts = [(line.skipped, line.loss, line.grad_norm) for line in lines]
        (place / f"{trainer.rank}.json").write_text(json.dumps(facts))
        trainer = a_trainer(stage, dtype, model)
        plain = [trainer.healthy_step(seed) for seed in range(3)]
        trainer._save(place / "plain")
        facts = [(line.skipped, line.loss, line.grad_norm) for line in plain]
        (place / f"{trainer.rank}-plain.json").write_text(json.dumps(facts))
    ranks.leave()


# --- what is expected --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Where a number of ranks have trained, with sick steps in between and without; made once."""
    made: dict[int, Path] = {}

    def by(count: int) -> Path:
        if count not in made:
            made[count] = tmp_path_factory.mktemp("ranks")
            model = write_tiny_model(made[count] / "model")
            run_ranks(count, __file__, model, str(made[count]), logs=made[count])
        return made[count]

    return by


@pytest.fixture(scope="module", params=[*product((1, 2), DTYPES)], ids=str)
def run(request: pytest.FixtureRequest, launched: Callable[[int], Path]) -> Path:
    count, dtype = request.param
    return launched(count) / dtype


def same(one: Path, other: Path) -> None:
    assert Stored(one).count == Stored(other).count
    [a], [b] = (list(place.glob("*.safetensors")) for place in (one, other))
    left, right = load_file(a), load_file(b)
    assert [key for key, tensor in left.items() if not torch.equal(tensor, right[key])] == []


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("wrong", SICK)
def test_a_sick_step_changes_no_master_no_moment_and_no_count(run, stage, when, wrong):
    place = run / str(stage)
    same(place / f"{wrong}-{when}-before", place / f"{wrong}-{when}-after")


@pytest.mark.parametrize("stage", STAGES)
def test_the_steps_after_it_are_bit_for_bit_those_without_it(run, stage):
    same(run / str(stage) / "end", run / str(stage) / "plain")
    with_it = json.loads((run / str(stage) / "0.json").read_text())
    without = json.loads((run / str(stage) / "0-plain.json").read_text())
    assert [line for line in with_it if not line[0]] == without
    assert Stored(run / str(stage) / "end").count == 3


@pytest.mark.parametrize("stage", STAGES)
def test_a_skipped_step_says_why(run, stage):
    reasons = list(SICK.values())
    lines = json.loads((run / str(stage) / "0.json").read_text())
    assert [line[0] for line in lines] == [*reasons, "", "", *reasons, ""]


@pytest.mark.parametrize(("dtype", "stage"), [*product(DTYPES, STAGES)])
def test_both_ranks_have_seen_the_same_losses_and_norms(launched, dtype, stage):
    """So that neither makes a step that the other skips."""
    place = launched(2) / dtype / str(stage)
    for what in ("", "-plain"):
        assert (place / f"0{what}.json").read_text() == (place / f"1{what}.json").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_a_spike_is_reported_with_its_norm(run, stage):
    lines = json.loads((run / str(stage) / "0.json").read_text())
    norms = [norm for skipped, _, norm in lines if skipped == "spike"]
    assert all(1e-6 < norm < math.inf for norm in norms)


if __name__ == "__main__":
    be_a_rank(sys.argv[1], Path(sys.argv[2]))
