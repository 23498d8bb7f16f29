"""The gradient of a step does not depend on how the step was computed.

Real DeepSpeed on the CPU, one process and two (gloo). Every way to cut the same batch must give,
before the optimizer steps, the gradient that plain autograd gives on one sequence at a time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from services.learner.step import Sequence
from services.learner.trainer.loss import token_loss
from services.learner.trainer.policy_network import load_policy_network
from tests.observed import (
    MOST_NORM,
    RIGHT,
    SUMMED,
    TEMPERATURE,
    UNIT,
    WRONG,
    error,
    facts,
    norm,
    other_model,
    recipe,
    step_batch,
)

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(300)]


# --- what is expected --------------------------------------------------------------------------


@dataclass
class Expected:
    """By plain autograd, one sequence at a time, without DeepSpeed or PolicyNetwork."""

    gradient: dict[str, np.ndarray]
    losses: Tensor  # [T]: weighted
    ratios: Tensor  # [T]


@pytest.fixture(scope="module")
def expected(tiny_model: str) -> Expected:
    """In float64 (transformers keeps the norms and the angles of positions in float32)."""
    return by_autograd(tiny_model, torch.float64)


@pytest.fixture(scope="module")
def rounded(tiny_model: str) -> Expected:
    """In float32: how far that is from `expected` is what rounding does on this machine."""
    return by_autograd(tiny_model, torch.float32)


def by_autograd(model: str, dtype: torch.dtype) -> Expected:
    rules = recipe(model, 1)
    network, reference = (
        load_policy_network(rules, d).model.to(dtype) for d in (model, other_model(model))
    )
    losses, ratios = [], []
    for sequence in step_batch():
        with torch.no_grad():
            anchor = logprobs_of(sequence, reference)
        behaviour = torch.tensor(sequence.behaviour_logprobs)
        gains = torch.full_like(behaviour, sequence.advantage)
        each = token_loss(logprobs_of(sequence, network), behaviour, gains, rules.algorithm, anchor)
        losses.append(each.loss * sequence.weight)
        ratios.append(each.ratio)
    torch.cat(losses).sum().backward()
    gradient = {name: p.grad.double().numpy() for name, p in network.named_parameters()}
    return Expected(gradient, torch.cat(losses).detach().double(), torch.cat(ratios).double())


def logprobs_of(sequence: Sequence, network: Any) -> Tensor:
    ids = torch.tensor([sequence.prompt + sequence.completion])
    logits = network(input_ids=ids).logits[0, len(sequence.prompt) - 1 : -1] / TEMPERATURE
    chosen = torch.tensor(sequence.completion)[:, None]
    return logits.log_softmax(-1).gather(-1, chosen)[:, 0]


# --- the comparison ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1, 2], ids=["one_rank", "two_ranks"])
def computed(request, observed) -> Path:
    return observed(request.param)


@pytest.fixture(scope="module")
def rounding(expected: Expected, rounded: Expected) -> float:
    """Relative error that float32 may cost the gradient of `step_batch`.

    Plain autograd in float32 is one order of the same operations, every way is another. Rounding
    errors of half a million values are many enough for their norm to be nearly the same each time;
    4, because the sums may be longer: an error grows with the root of the length.
    """
    return 4 * error(rounded.gradient, expected.gradient)


@pytest.mark.parametrize("way", RIGHT, ids=str)
def test_the_gradient_is_that_of_the_whole_batch(computed, expected, rounding, way):
    assert error(np.load(computed / f"{way}.npz"), expected.gradient) <= rounding


@pytest.mark.parametrize("way", WRONG, ids=str)
def test_a_boundary_at_every_micro_batch_would_be_noticed(computed, expected, rounding, way):
    assert error(np.load(computed / f"{way}.npz"), expected.gradient) > 100 * rounding


@pytest.mark.parametrize("way", RIGHT, ids=str)
def test_the_statistics_are_those_of_the_whole_batch(computed, expected, rounded, rounding, way):
    """Two norms differ by no more than the norm of the difference, and by how each is rounded: a
    sum of n squares in float32 errs by about sqrt(n) roundings. A loss is a sum of n too."""
    stats = facts(computed, way)
    values = sum(value.size for value in expected.gradient.values())
    tokens = len(expected.losses)
    off = 4 * (rounded.losses - expected.losses).abs().sum()
    off += tokens * UNIT * expected.losses.abs().sum()
    assert stats["tokens"] == tokens
    assert stats["loss"] == pytest.approx(expected.losses.sum().item(), abs=off.item(), rel=0)
    assert stats["grad_norm"] == pytest.approx(
        norm(expected.gradient), rel=rounding + values**0.5 * UNIT
    )
    capped = (expected.ratios > recipe("", 1).algorithm.ratio_cap).double().mean().item()
    assert stats["clipped"] == pytest.approx(capped)


@pytest.mark.parametrize("way", RIGHT, ids=str)
def test_the_largest_ratio_is_that_of_the_rank_that_has_it(computed, expected, rounded, way):
    """A ratio is the exponential of a difference of log-probabilities: its relative error is their
    absolute one."""
    off = 4 * (rounded.ratios / expected.ratios).log().abs().max().item()
    highest = expected.ratios.max().item()
    assert facts(computed, way)["ratio_max"] == pytest.approx(highest, rel=off)


@pytest.mark.parametrize("way", RIGHT + SUMMED, ids=str)
def test_the_step_is_made_with_the_gradient_scaled_down(computed, way):
    """By AdamW's first moment, m' = b m + (1 - b) g. m and m' are of g's size and rounded a few
    times; dividing by 1 - b makes ten times as much of it, still far below this. DeepSpeed adds
    1e-6 to the norm, which is above 0.1."""
    found = facts(computed, way)
    assert found["grad_norm"] > 10 * MOST_NORM
    assert found["stepped_norm"] == pytest.approx(MOST_NORM, rel=1e-4)
