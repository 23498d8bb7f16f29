"""The loss of each token, in the letters of the papers.

    r      pi(token) / mu(token), learner over behaviour policy, both at the sampling temperature
    A      advantage
    cispo  -sg[min(r, C)] A log pi                    (MiniMax-M1, arXiv 2506.13585, eq. 4-5)
    clip   -min(r A, clip(r, 1 - l, 1 + h) A)         (PPO, arXiv 1707.06347; h > l: DAPO)
           and r at most `dual_clip` in the first term (dual clip, arXiv 1912.09729)
    k3     exp(q - p) - (q - p) - 1                   (Schulman's estimator of KL(pi || ref))

With one optimizer step per batch, `cispo` with C is the same gradient as truncated importance
sampling and as decoupled PPO with that cap.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from openrs_core.recipe.algorithm import AlgorithmSection

LOG_RATIO_BOUND = 20.0
"""exp(20) is 5e8: beyond it a ratio is a fault, and exp would overflow."""


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """Per token, before weights: [N] each."""

    loss: Tensor
    ratio: Tensor
    clipped: Tensor
    """1 where the ratio was capped, or clipped with effect on the gradient."""
    mismatch_kl: Tensor
    """k3 of learner against behaviour policy."""


def token_loss(
    logprobs: Tensor,
    behaviour: Tensor,
    advantages: Tensor,
    rules: AlgorithmSection,
    reference: Tensor | None,
) -> TokenLoss:
    """The loss of each token; all arguments [N], `reference` only with a KL weight."""
    log_ratio = (logprobs - behaviour).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    ratio = log_ratio.exp()
    if rules.loss == "cispo":
        loss, clipped = _cispo(logprobs, ratio, advantages, rules.ratio_cap)
    else:
        loss, clipped = _clip(ratio, advantages, rules)
    if reference is not None:
        loss = loss + rules.kl_weight * k3(logprobs, reference)
    mismatch = k3(logprobs.detach(), behaviour)
    return TokenLoss(loss, ratio.detach(), clipped.float(), mismatch)


def k3(logprobs: Tensor, other: Tensor) -> Tensor:
    """Estimate of KL(policy || other) at tokens drawn from the policy; never negative."""
    difference = (other - logprobs).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    return difference.exp() - difference - 1


def _cispo(
    logprobs: Tensor, ratio: Tensor, advantages: Tensor, cap: float
) -> tuple[Tensor, Tensor]:
    capped = ratio.detach().clamp(max=cap)
    return -capped * advantages * logprobs, ratio.detach() > cap


def _clip(ratio: Tensor, advantages: Tensor, rules: AlgorithmSection) -> tuple[Tensor, Tensor]:
    low, high = 1 - rules.clip_low, 1 + rules.clip_high
    bounded = ratio.clamp(max=rules.dual_clip) if rules.dual_clip else ratio
    loss = -torch.minimum(bounded * advantages, ratio.clamp(low, high) * advantages)
    past = ratio > (rules.dual_clip or float("inf"))
    clipped = ((ratio < low) & (advantages < 0)) | ((ratio > high) & (advantages > 0))
    clipped |= past & (advantages < 0)
    return loss, clipped
