"""The gradient of a step does not depend on how the step was computed.

Real DeepSpeed on the CPU, one process and two (gloo). Every way to cut the same batch must give,
before the optimizer steps, the gradient that plain autograd gives on one sequence at a time.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from services.learner.step import Sequence
from services.learner.trainer.loss import Tokens, token_loss
from services.learner.trainer.policy_network import load_policy_network
from tests.observed import (
    MOST_NORM,
    OPTIONAL,
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
    clipped: Tensor  # [T]
    ratios: Tensor  # [T]


@cache
def expected(model: str, option: str) -> Expected:
    """In float64 (transformers keeps the norms and the angles of positions in float32)."""
    return by_autograd(model, option, torch.float64)


@cache
def rounded(model: str, option: str) -> Expected:
    """In float32: how far that is from `expected` is what rounding does on this machine."""
    return by_autograd(model, option, torch.float32)


def by_autograd(model: str, option: str, dtype: torch.dtype) -> Expected:
    recipe_ = recipe(model, 1, option=option)
    rules = recipe_.algorithm
    network, reference = (
        load_policy_network(recipe_, d).model.to(dtype) for d in (model, other_model(model))
    )
    batch = step_batch()
    seen = [seen_of(sequence, network) for sequence in batch]
    entropies = torch.cat([entropy.detach() for _, entropy in seen])
    limit = torch.quantile(entropies, 1 - rules.top_entropy_share)
    losses, clipped, ratios = [], [], []
    for sequence, (logprobs, entropy) in zip(batch, seen, strict=True):
        with torch.no_grad():
            anchor, _ = seen_of(sequence, reference)
        behaviour = torch.tensor(sequence.behaviour_logprobs)
        gains, one = torch.full_like(behaviour, sequence.advantage), torch.zeros(len(behaviour))
        carries = (entropy.detach() >= limit).to(dtype)
        tokens = Tokens(behaviour, gains, one.long(), anchor, carries)
        each = token_loss(logprobs, tokens, rules)
        earned = rules.entropy_weight * carries * entropy / (entropies >= limit).sum()
        losses.append(each.loss * sequence.weight - earned)
        clipped.append(each.clipped)
        ratios.append(each.ratio)
    torch.cat(losses).sum().backward()
    gradient = {name: p.grad.double().numpy() for name, p in network.named_parameters()}
    values = [torch.cat(each).detach().double() for each in (losses, clipped, ratios)]
    return Expected(gradient, *values)


def seen_of(sequence: Sequence, network: Any) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy of each token."""
    ids = torch.tensor([sequence.prompt + sequence.completion])
    logits = network(input_ids=ids).logits[0, len(sequence.prompt) - 1 : -1] / TEMPERATURE
    every = logits.log_softmax(-1)
    chosen = torch.tensor(sequence.completion)[:, None]
    return every.gather(-1, chosen)[:, 0], -(every.exp() * every).sum(-1)


# --- the comparison ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1, 2], ids=["one_rank", "two_ranks"])
def computed(request, observed) -> Path:
    return observed(request.param)


@cache
def rounding(model: str, option: str) -> float:
    """Relative error that float32 may cost the gradient of `step_batch`.

    Plain autograd in float32 is one order of the same operations, every way is another. Rounding
    errors of half a million values are many enough for their norm to be nearly the same each time;
    4, because the sums may be longer: an error grows with the root of the length.
    """
    return 4 * error(rounded(model, option).gradient, expected(model, option).gradient)


@pytest.mark.parametrize("way", RIGHT + OPTIONAL, ids=str)
def test_the_gradient_is_that_of_the_whole_batch(computed, tiny_model, way):
    exact = expected(tiny_model, way.option).gradient
    found = np.load(computed / f"{way}.npz")
    assert error(found, exact) <= rounding(tiny_model, way.option)


@pytest.mark.parametrize("way", WRONG, ids=str)
def test_a_boundary_at_every_micro_batch_would_be_noticed(computed, tiny_model, way):
    exact, found = expected(tiny_model, "").gradient, np.load(computed / f"{way}.npz")
    assert error(found, exact) > 100 * rounding(tiny_model, "")


@pytest.mark.parametrize("way", OPTIONAL, ids=str)
def test_an_option_that_does_nothing_would_be_noticed(computed, tiny_model, way):
    exact, found = expected(tiny_model, "").gradient, np.load(computed / f"{way}.npz")
    assert error(found, exact) > 100 * rounding(tiny_model, "")


@pytest.mark.parametrize("way", RIGHT + OPTIONAL, ids=str)
def test_the_statistics_are_those_of_the_whole_batch(computed, tiny_model, way):
    """Two norms differ by no more than the norm of the difference, and by how each is rounded: a
    sum of n squares in float32 errs by about sqrt(n) roundings. A loss is a sum of n too."""
    stats, exact = facts(computed, way), expected(tiny_model, way.option)
    values = sum(value.size for value in exact.gradient.values())
    tokens = len(exact.losses)
    off = 4 * (rounded(tiny_model, way.option).losses - exact.losses).abs().sum()
    off += tokens * UNIT * exact.losses.abs().sum()
    assert stats["tokens"] == tokens
    assert stats["loss"] == pytest.approx(exact.losses.sum().item(), abs=off.item(), rel=0)
    assert stats["grad_norm"] == pytest.approx(
        norm(exact.gradient), rel=rounding(tiny_model, way.option) + values**0.5 * UNIT
    )
    assert stats["clipped"] == pytest.approx(exact.clipped.mean().item())


@pytest.mark.parametrize("way", RIGHT, ids=str)
def test_the_largest_ratio_is_that_of_the_rank_that_has_it(computed, tiny_model, way):
    """A ratio is the exponential of a difference of log-probabilities: its relative error is their
    absolute one."""
    exact, near = expected(tiny_model, "").ratios, rounded(tiny_model, "").ratios
    off = 4 * (near / exact).log().abs().max().item()
    highest = exact.max().item()
    assert facts(computed, way)["ratio_max"] == pytest.approx(highest, rel=off)


@pytest.mark.parametrize("way", RIGHT + SUMMED, ids=str)
def test_the_step_is_made_with_the_gradient_scaled_down(computed, way):
    """By AdamW's first moment, m' = b m + (1 - b) g. m and m' are of g's size and rounded a few
    times; dividing by 1 - b makes ten times as much of it, still far below this. DeepSpeed adds
    1e-6 to the norm, which is above 0.1."""
    found = facts(computed, way)
    assert found["grad_norm"] > 10 * MOST_NORM
    assert found["stepped_norm"] == pytest.approx(MOST_NORM, rel=1e-4)
