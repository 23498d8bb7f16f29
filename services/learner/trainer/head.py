"""The lm_head: hidden states of scored tokens -> their log-probabilities, and the entropies.

It runs in float32, on a chunk of tokens at a time, so that [tokens x vocabulary] is never held. A
chunk's logits are made anew for the backward pass, which needs one softmax of them:

    l                    logits over the temperature
    p_j                  probability of token j, softmax of l
    d log p_c / d l_j    1[j = c] - p_j
    H                    entropy, - sum_j p_j log p_j
    d H / d l_j          - p_j (log p_j + H)

On a GPU the products of a bfloat16 model are computed in TF32 (decision 0028). A value of bfloat16
has 8 significant bits and TF32 keeps 11, so hidden states and weights lose nothing: the logits are
those of float32, but for how a sum is rounded. The backward pass multiplies a float32 gradient, whose
values TF32 rounds by up to 2^-10 of each. They are multiplied by hidden states or weights that
bfloat16 has rounded by up to 2^-8, and the results are rounded to bfloat16 again. For a model in
float32 nothing is computed in TF32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Entropy = Literal["none", "value", "gradient"]
"""What is asked for of it: each costs a pass over the logits more than the one before."""

CHUNK_TOKENS = 1024
"""Rows of logits held at once: 600 MB in float32 for a vocabulary of 150,000."""


def scored(
    rows: Tensor,
    head: Tensor,
    targets: Tensor,
    temperature: float,
    entropy: Entropy = "value",
) -> tuple[Tensor, Tensor | None]:
    """Log-probability and entropy (nats) of each token, [N] float32; None for no entropy.

    rows [N, H] in the model's type, head [V, H] float32, targets [N] int64.
    """
    chunks = zip(*(torch.split(each, CHUNK_TOKENS) for each in (rows, targets)), strict=True)
    found: list[tuple[Tensor, Tensor | None]] = [
        _Scored.apply(*chunk, head, temperature, entropy)  # type: ignore[no-untyped-call]
        for chunk in chunks
    ]
    entropies = [each for _, each in found if each is not None]
    return torch.cat([each for each, _ in found]), torch.cat(entropies) if entropies else None


class _Scored(torch.autograd.Function):
    """One chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        targets: Tensor,
        head: Tensor,
        temperature: float,
        entropy: Entropy,
    ) -> tuple[Tensor, Tensor | None]:
        ctx.save_for_backward(rows, targets, head)
        ctx.temperature, ctx.entropy = temperature, entropy
        logs = _logits(rows, head, temperature).log_softmax(-1)
        chosen = logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        if entropy == "none":
            return chosen, None
        entropies = -logs.exp().mul_(logs).sum(-1)
        if entropy == "value":
            ctx.mark_non_differentiable(entropies)
        return chosen, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, entropy_slope: Tensor) -> tuple[Tensor | None, ...]:
        rows, targets, head = ctx.saved_tensors
        logits = _logits(rows, head, ctx.temperature)
        if ctx.entropy == "gradient":
            logs = logits.log_softmax(-1)
            slopes = logs.exp()
            logs -= (slopes * logs).sum(-1, keepdim=True)  # log p + H
            factors = logs.mul_(entropy_slope.unsqueeze(-1)).add_(slope.unsqueeze(-1))
            slopes.mul_(factors).neg_()
        else:
            slopes = logits.softmax(-1).mul_(-slope.unsqueeze(-1))
        slopes.scatter_add_(-1, targets.unsqueeze(-1), slope.unsqueeze(-1)).div_(ctx.temperature)
        with _tf32(rows.dtype):
            of_rows, of_head = slopes @ head, slopes.T @ rows.float()
        return of_rows.to(rows.dtype), None, of_head, None, None


def _logits(rows: Tensor, head: Tensor, temperature: float) -> Tensor:
    """At the temperature, [N, V] float32."""
    with _tf32(rows.dtype):
        return (rows.float() @ head.T).div_(temperature)


@contextmanager
def _tf32(dtype: torch.dtype) -> Iterator[None]:
    """Products of float32 matrices may be computed in TF32 inside, if the model's type is bfloat16.

    The switch is the process' own: it is put back before anything else is computed.
    """
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    if dtype == torch.bfloat16:
        matmul.fp32_precision = "tf32"
    try:
        yield
    finally:
        matmul.fp32_precision = before
