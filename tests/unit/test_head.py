"""The lm_head: what it gives is right, and it is not computed more often than it has to be."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from services.learner.trainer.batch import assemble
from services.learner.trainer.head import CHUNK_TOKENS, Entropy, scored
from services.learner.trainer.policy_network import load_policy_network
from services.learner.trainer.reference import Reference
from tests.tiny_model import a_batch, tiny_recipe, write_tiny_model

pytestmark = pytest.mark.arithmetic

TOKENS, WIDTH, VOCABULARY = 40, 16, 300
EXPONENTIALS = {"exp", "exp_", "logsumexp", "_softmax", "_log_softmax"}


class Computed(TorchDispatchMode):
    """Counts passes over [tokens x vocabulary] that take exponentials; notes how products go."""

    def __init__(self, vocabulary: int = VOCABULARY) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self.exponentials: Counter[str] = Counter()
        self.products: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.__name__.split(".")[0]
        if name in EXPONENTIALS and args[0].shape[-1:] == (self._vocabulary,):
            self.exponentials[name] += 1
        if name == "mm":
            self.products.append(torch.backends.cuda.matmul.fp32_precision)
        return func(*args, **(kwargs or {}))


def given(dtype: torch.dtype = torch.float32, tokens: int = TOKENS) -> tuple[Tensor, ...]:
    """Hidden states, head and targets; logits of some 8."""
    draw = torch.Generator().manual_seed(0)
    rows = (2 * torch.randn(tokens, WIDTH, generator=draw)).to(dtype).requires_grad_()
    head = torch.randn(VOCABULARY, WIDTH, generator=draw).to(dtype).float().requires_grad_()
    return rows, head, torch.randint(VOCABULARY, (tokens,), generator=draw)


def plainly(
    rows: Tensor, head: Tensor, targets: Tensor, temperature: float, entropy: Entropy
) -> tuple[Tensor, Tensor | None]:
    """By torch's own autograd, all at once."""
    every = (rows @ head.T / temperature).log_softmax(-1)
    entropies = -(every.exp() * every).sum(-1)
    kept = {"none": None, "value": entropies.detach(), "gradient": entropies}
    return every.gather(-1, targets[:, None])[:, 0], kept[entropy]


def facts(
    way: Any, rows: Tensor, head: Tensor, targets: Tensor, entropy: Entropy
) -> dict[str, Tensor]:
    """Values, and the gradient of a sum in which every token counts otherwise."""
    logprobs, entropies = way(rows, head, targets, 0.7, entropy)
    found = {"logprobs": logprobs, "entropies": entropies}
    total = (logprobs * torch.linspace(-1, 1, len(logprobs))).sum()
    if entropies is not None and entropies.requires_grad:
        total = total + (entropies * torch.linspace(1, -0.5, len(entropies))).sum()
    found["of rows"], found["of head"] = torch.autograd.grad(total, (rows, head))
    return {name: value.detach() for name, value in found.items() if value is not None}


@pytest.mark.parametrize("tokens", [2, TOKENS, CHUNK_TOKENS + 1])
@pytest.mark.parametrize("entropy", ["none", "value", "gradient"])
def test_values_and_gradients_are_those_of_plain_autograd(tokens: int, entropy: Entropy) -> None:
    """Off by rounding: torch's own way in float32 is one order of nearly the same operations, and
    how far it is from float64, in norm, is what that does on this machine; 4, as elsewhere."""
    rows, head, targets = given(tokens=tokens)
    double = [each.detach().double().requires_grad_() for each in (rows, head)]
    found = facts(scored, rows, head, targets, entropy)
    near = facts(plainly, rows, head, targets, entropy)
    exact = facts(plainly, *double, targets, entropy)
    assert found.keys() == exact.keys()
    for name, true in exact.items():
        assert (found[name] - true).norm() <= 4 * (near[name] - true).norm(), name


@pytest.mark.parametrize(
    ("entropy", "forward", "backward"), [("none", 1, 1), ("value", 2, 1), ("gradient", 2, 2)]
)
def test_exponentials_over_the_vocabulary_are_taken_once_and_for_an_entropy_once_more(
    entropy: Entropy, forward: int, backward: int
) -> None:
    """And an entropy that is only looked at is not computed again in the backward pass."""
    with Computed() as computed:
        logprobs, entropies = scored(*given(), 0.7, entropy)
    assert computed.exponentials.total() == forward
    total = logprobs.sum() + (entropies.sum() if entropy == "gradient" else 0)
    with Computed() as computed:
        total.backward()
    assert computed.exponentials.total() == backward


def test_a_step_takes_three_exponentials_of_a_token_s_logits_and_its_reference_one(
    tmp_path: Path,
) -> None:
    model = write_tiny_model(tmp_path)
    policy = load_policy_network(tiny_recipe(model), model)
    batch = assemble(a_batch(0), "padded", pad=0)
    with Computed(policy.model.config.vocab_size) as computed:
        policy(batch)[0].sum().backward()
    assert computed.exponentials.total() == 3
    with Computed(policy.model.config.vocab_size) as computed:
        Reference(policy).logprobs(batch)
    assert computed.exponentials.total() == 1


def test_an_entropy_that_is_only_looked_at_has_no_gradient() -> None:
    logprobs, entropies = scored(*given(), 0.7, "value")
    assert (logprobs.requires_grad, entropies.requires_grad) == (True, False)


@pytest.mark.parametrize(
    ("dtype", "precision"), [(torch.bfloat16, "tf32"), (torch.float32, "none")]
)
def test_products_are_in_tf32_for_bfloat16_alone_and_nothing_else_is(
    dtype: torch.dtype, precision: str
) -> None:
    """One forward; two and the same again backward."""
    matmul = torch.backends.cuda.matmul
    assert matmul.fp32_precision == "none"
    with Computed() as computed:
        scored(*given(dtype), 0.7)[0].sum().backward()
    assert computed.products == [precision] * 4
    assert matmul.fp32_precision == "none"


def test_a_value_of_bfloat16_is_one_of_tf32() -> None:
    """Which has 10 bits after the first, and the exponents of float32: 13 bits less than that."""
    every = torch.arange(2**16, dtype=torch.int32).short().view(torch.bfloat16).float()
    assert not (every.view(torch.int32) & (2**13 - 1)).any()
