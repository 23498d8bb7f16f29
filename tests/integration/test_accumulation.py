"""In bfloat16 the gradients of micro-batches are summed in float32, within a rank and over ranks.

Real DeepSpeed on the CPU, one process and several (gloo), ZeRO 1, 2 and 3, 64 micro-batches.

What is compared is the sum, not its terms. Each term, the gradient of one micro-batch, is what a
bfloat16 model gives, about 1 % beside what a float32 model would give; no sum can mend that.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from services.learner.trainer.batch import assemble
from services.learner.trainer.loss import Tokens, token_loss
from services.learner.trainer.policy_network import load_policy_network
from tests.observed import MANY, SUMMED, WRONG_SUM, error, facts, many, recipe

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(300)]

SUM_ERROR = 1e-3
"""Relative error that 64 micro-batches in bfloat16 may have. A sum in float32 has some 1e-8, a sum
in bfloat16 1e-2; between them is room for a machine whose kernels round a few of the terms
otherwise in another process."""


# --- what is expected --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def terms(tiny_model: str) -> list[dict[str, Tensor]]:
    return by_autograd(tiny_model, "bfloat16")


def by_autograd(model: str, dtype: str) -> list[dict[str, Tensor]]:
    """The gradient of each sequence of `many`, of the same policy without DeepSpeed."""
    rules = recipe(model, 1, dtype)
    policy, found = load_policy_network(rules, model), []
    for sequence in many():
        batch = assemble([sequence], "padded", policy.model.config.pad_token_id)
        policy.zero_grad()
        logprobs, _ = policy(batch)
        tokens = Tokens(batch.behaviour_logprobs, batch.advantages, batch.sequence)
        each = token_loss(logprobs, tokens, rules.algorithm)
        (each.loss * batch.weights).sum().backward()
        found.append({name: p.grad.clone() for name, p in policy.model.named_parameters()})
    return found


def summed(terms: list[dict[str, Tensor]], dtype: torch.dtype) -> dict[str, np.ndarray]:
    """One term after the other, each sum rounded to the type."""
    total = {name: torch.zeros_like(term, dtype=dtype) for name, term in terms[0].items()}
    for each in terms:
        total = {name: total[name] + term.to(dtype) for name, term in each.items()}
    return {name: tensor.double().numpy() for name, tensor in total.items()}


@pytest.fixture(scope="module")
def exact(terms: list[dict[str, Tensor]]) -> dict[str, np.ndarray]:
    """The sum without rounding, as good as: float64 has 29 bits more."""
    return summed(terms, torch.float64)


# --- the comparison ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", SUMMED, ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_the_gradients_of_64_micro_batches_are_summed_in_float32(observed, count, exact, way):
    """What plain autograd gives in bfloat16 for one sequence at a time, summed without rounding."""
    assert error(np.load(observed(count) / f"{way}.npz"), exact) <= SUM_ERROR


def test_a_sum_in_bfloat16_would_be_noticed(terms, exact):
    assert error(summed(terms, torch.bfloat16), exact) > 5 * SUM_ERROR


def test_against_a_model_in_float32_it_is_the_terms_that_are_off(tiny_model, exact):
    """So that is no measure of how they are summed."""
    in_float32 = summed(by_autograd(tiny_model, "float32"), torch.float64)
    assert error(exact, in_float32) > 5 * SUM_ERROR


@pytest.mark.parametrize("way", SUMMED, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_addition_rounds_to_float32_and_nothing_else_is_rounded(observed, count, way):
    """Against the sum without rounding of the very terms that DeepSpeed was given.

    A sum of n terms, in any order, is off by at most (n - 1) UNIT * sum of |terms|, and UNIT² more
    (Higham, Accuracy and Stability of Numerical Algorithms, 4.2). A value goes through as many
    additions as its rank has micro-batches, one for each other rank, and one division.
    """
    each = -(-MANY // count)
    assert 0 < facts(observed(count), way)["roundings"] <= each + count


@pytest.mark.parametrize("way", WRONG_SUM, ids=str)
def test_a_wrong_boundary_would_be_noticed_with_two_ranks(observed, exact, way):
    """With one there is nothing to reduce."""
    assert error(np.load(observed(2) / f"{way}.npz"), exact) > 100 * SUM_ERROR


@pytest.mark.parametrize("way", SUMMED, ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_no_gradient_in_bfloat16_is_kept_beside_the_sum(observed, count, way):
    """It would take two bytes more per parameter, until the step."""
    assert facts(observed(count), way)["kept"] == 0
