"""The gradient of a step does not depend on how the step was computed.

Real DeepSpeed on the CPU, one process and two (gloo). Every way to cut the same batch must
give, before the optimizer steps, the gradient that plain autograd gives on one sequence at a time.

`python tests/integration/test_gradient.py MODEL DIRECTORY` is one rank.
"""

import json
import sys
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from openrs_core.recipe.training import TrainingRecipe
from services.learner.algorithm.aggregation import token_weights
from services.learner.step import Sequence, StepStats
from services.learner.trainer.batch import Layout, MicroBatch
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.loss import token_loss
from services.learner.trainer.policy_network import PolicyNetwork, load_policy_network
from tests.ranks import run_ranks
from tests.tiny_model import tiny_recipe, write_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TOLERANCE = 1e-5
TEMPERATURE = 0.7
LARGEST = 320
"""Tokens in the longest sequence at most, as the recipe has it."""


@dataclass(frozen=True)
class Way:
    """One way to compute the step."""

    zero_stage: int
    layout: Layout
    budget: int
    boundary: bool = True
    """False: every micro-batch is taken for the last, as with a boundary DeepSpeed counts."""

    def __str__(self) -> str:
        """As files and reports name it."""
        wrong = "" if self.boundary else "-wrong"
        return f"zero{self.zero_stage}-{self.layout}-{self.budget}{wrong}"


RIGHT = [
    Way(*parts) for parts in product((1, 2, 3), ("padded", "packed"), (10**6, 700, LARGEST, 1))
]
"""From everything at once to one sequence at a time (odd in number: with two ranks, one idles)."""

WRONG = [Way(stage, "padded", 1, boundary=False) for stage in (1, 2)]


def recipe(model: str, zero_stage: int) -> TrainingRecipe:
    learner = {
        "zero_stage": zero_stage,
        "tokens_per_micro_batch": LARGEST,
        "kl_weight": 0.1,
        "max_grad_norm": 0.01,
    }
    return tiny_recipe(model, sampler={"temperature": TEMPERATURE}, learner=learner)


def step_batch() -> list[Sequence]:
    """Two groups of mixed length, off-policy enough for some tokens to meet the cap."""
    draw = torch.Generator().manual_seed(0)
    lengths = [[3, 60, 25, 41], [1, 17, 200]]
    weights = token_weights(lengths, "token", max_tokens=200)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 260, (count,), generator=draw).tolist())

    return [
        Sequence(
            prompt=tokens(5 + length % 7),
            completion=tokens(length),
            behaviour_logprobs=tuple((-4 - 4 * torch.rand(length, generator=draw)).tolist()),
            advantage=1.5 - number,
            weight=weight,
        )
        for group, row in zip(lengths, weights, strict=True)
        for number, (length, weight) in enumerate(zip(group, row, strict=True))
    ]


# --- what the ranks run ------------------------------------------------------------------------


class Observed(DeepSpeedTrainer):
    """Computes a step in every way, at learning rate 0, and writes down the gradients."""

    def __init__(self, model: str, directory: Path) -> None:
        super().__init__(recipe(model, 1), model)
        others = {stage: DeepSpeedTrainer(recipe(model, stage), model) for stage in (2, 3)}
        made = {1: self} | others
        self._made = {stage: (trainer._engine, trainer._guard) for stage, trainer in made.items()}
        self._directory = directory

    def _train(self, sequences: list[Sequence], lr: float, norm_limit: float) -> StepStats:
        for self._way in RIGHT + WRONG:
            self._engine, self._guard = self._made[self._way.zero_stage]
            changes = {"layout": self._way.layout, "tokens_per_micro_batch": self._way.budget}
            self._rules = self._rules.model_copy(update=changes)
            stats = super()._train(sequences, lr, norm_limit)
            if self.rank == 0:
                self._write(stats)
        return stats

    def _backward(self, batch: MicroBatch, ranks: int) -> Tensor:
        if not self._way.boundary:
            self._engine.set_gradient_accumulation_boundary(True)
        sums = super()._backward(batch, ranks)
        if self._engine.is_gradient_accumulation_boundary():
            self._gradient = self._read_gradient()
        return sums

    def _read_gradient(self) -> dict[str, np.ndarray]:
        from deepspeed.utils import safe_get_full_grad

        named = self._engine.module.model.named_parameters()
        return {name: safe_get_full_grad(p).numpy().copy() for name, p in named}

    def _load_reference(self, recipe: TrainingRecipe, model: str) -> PolicyNetwork | None:
        """Another model: of itself, a policy diverges by nothing."""
        return super()._load_reference(recipe, other_model(model))

    def _write(self, stats: StepStats) -> None:
        np.savez(self._directory / f"{self._way}.npz", **self._gradient)
        (self._directory / f"{self._way}.json").write_text(json.dumps(asdict(stats)))


def be_a_rank(model: str, directory: Path) -> None:
    trainer = Observed(model, directory)
    if trainer.rank:
        trainer.follow()
    else:
        trainer.train(step_batch(), lr=0.0)
        trainer.close()


# --- what is expected --------------------------------------------------------------------------


@dataclass
class Expected:
    """By plain autograd, one sequence at a time, without DeepSpeed and without PolicyNetwork."""

    gradient: dict[str, np.ndarray]
    loss: float
    ratio_max: float
    clipped: float
    tokens: int


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("model")
    write_tiny_model(Path(other_model(str(directory))), seed=1)
    return write_tiny_model(directory)


def other_model(model: str) -> str:
    """Where the reference of the KL is."""
    return f"{model}/reference"


@pytest.fixture(scope="module")
def expected(model: str) -> Expected:
    rules = recipe(model, 1)
    network, reference = (load_policy_network(rules, d).model for d in (model, other_model(model)))
    loss, ratios = torch.tensor(0.0), []
    for sequence in step_batch():
        with torch.no_grad():
            anchor = logprobs_of(sequence, reference)
        behaviour = torch.tensor(sequence.behaviour_logprobs)
        gains = torch.full_like(behaviour, sequence.advantage)
        each = token_loss(logprobs_of(sequence, network), behaviour, gains, rules.learner, anchor)
        loss = loss + (each.loss * sequence.weight).sum()
        ratios.append(each.ratio)
    loss.backward()
    gradient = {name: p.grad.numpy() for name, p in network.named_parameters()}
    ratio = torch.cat(ratios)
    capped = (ratio > rules.learner.ratio_cap).float().mean().item()
    return Expected(gradient, loss.item(), ratio.max().item(), capped, len(ratio))


def logprobs_of(sequence: Sequence, network: Any) -> Tensor:
    ids = torch.tensor([sequence.prompt + sequence.completion])
    logits = network(input_ids=ids).logits[0, len(sequence.prompt) - 1 : -1] / TEMPERATURE
    chosen = torch.tensor(sequence.completion)[:, None]
    return logits.log_softmax(-1).gather(-1, chosen)[:, 0]


# --- the comparison ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1, 2], ids=["one_rank", "two_ranks"])
def computed(
    request: pytest.FixtureRequest, model: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Directory with what a number of ranks found, in every way."""
    directory = tmp_path_factory.mktemp("ranks")
    run_ranks(request.param, __file__, model, str(directory), logs=directory)
    return directory


def worst(directory: Path, way: Way, expected: Expected) -> float:
    """Largest difference of any element of the gradient."""
    found = np.load(directory / f"{way}.npz")
    return max(float(np.abs(found[name] - g).max()) for name, g in expected.gradient.items())


@pytest.mark.parametrize("way", RIGHT, ids=str)
def test_the_gradient_is_that_of_the_whole_batch(
    computed: Path, expected: Expected, way: Way
) -> None:
    assert worst(computed, way, expected) <= TOLERANCE


@pytest.mark.parametrize("way", WRONG, ids=str)
def test_a_boundary_at_every_micro_batch_would_be_noticed(
    computed: Path, expected: Expected, way: Way
) -> None:
    assert worst(computed, way, expected) > 100 * TOLERANCE


@pytest.mark.parametrize("way", RIGHT, ids=str)
def test_the_statistics_are_those_of_the_whole_batch(
    computed: Path, expected: Expected, way: Way
) -> None:
    stats = json.loads((computed / f"{way}.json").read_text())
    norm = sum(float((g**2).sum()) for g in expected.gradient.values()) ** 0.5
    assert stats["tokens"] == expected.tokens
    assert stats["loss"] == pytest.approx(expected.loss, abs=TOLERANCE)
    assert stats["grad_norm"] == pytest.approx(norm, rel=1e-4)
    assert stats["clipped"] == pytest.approx(expected.clipped)


@pytest.mark.parametrize("way", RIGHT, ids=str)
def test_the_largest_ratio_is_that_of_the_rank_that_has_it(
    computed: Path, expected: Expected, way: Way
) -> None:
    stats = json.loads((computed / f"{way}.json").read_text())
    assert stats["ratio_max"] == pytest.approx(expected.ratio_max, rel=1e-4)


if __name__ == "__main__":
    be_a_rank(sys.argv[1], Path(sys.argv[2]))
