"""The loss of each token, in the letters of the papers.

    r      pi(token) / mu(token), learner over behaviour policy, both at the sampling temperature;
           with `ratio_level = "sequence"` the geometric mean of these over the sequence's tokens
           (GSPO, arXiv 2507.18071, eq. 7)
    A      advantage
    cispo      -sg[min(r, C)] A log pi                (MiniMax-M1, arXiv 2506.13585, eq. 4-5)
    clip       -min(r A, clip(r, 1 - l, 1 + h) A)     (PPO, arXiv 1707.06347; h > l: DAPO)
               and r at most `dual_clip` in the first term (dual clip, arXiv 1912.09729)
    reinforce  -A log pi                              (the ratio is not corrected for)
    OPSM   0 instead, where A < 0 and the sequence's mean of log mu - log pi is above `opsm_delta`
           (DeepSeek-V3.2, arXiv 2512.02556)
    k3     exp(q - p) - (q - p) - 1                   (Schulman's estimator of KL(pi || ref));
           times r with `kl_with_ratio` (DeepSeek-V3.2)

The KL is added to what OPSM and the choice by entropy leave of the rest. A token weighs what it
weighs (see `algorithm.aggregation`), also where its loss is 0.

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
class Tokens:
    """What is known of tokens beside their log-probability: [N] each."""

    behaviour: Tensor
    """log mu."""
    advantages: Tensor
    sequence: Tensor
    """Which sequence of the micro-batch it is of, int64: all tokens of one are here."""
    reference: Tensor | None = None
    """Its log-probability there; only with a KL weight."""
    carries: Tensor | None = None
    """0 where a token carries no policy gradient, 1 elsewhere; None: 1 everywhere."""


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """Per token, before weights: [N] each."""

    loss: Tensor
    ratio: Tensor
    clipped: Tensor
    """1 where the ratio was capped, or clipped with effect on the gradient."""
    mismatch_kl: Tensor
    """k3 of learner against behaviour policy."""
    log_ratio: Tensor
    """log pi - log mu, also where the ratio is that of a sequence."""


def token_loss(logprobs: Tensor, tokens: Tokens, rules: AlgorithmSection) -> TokenLoss:
    """The loss of each token from its log-probability, [N]."""
    log_ratio = drift = logprobs - tokens.behaviour
    if rules.ratio_level == "sequence":
        drift = mean_of_sequence(drift, tokens.sequence)
    ratio = drift.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp()
    loss, clipped = _policy_loss(logprobs, ratio, tokens.advantages, rules)
    if rules.opsm_delta:
        loss = loss * _is_near(logprobs.detach(), tokens, rules.opsm_delta)
    if tokens.carries is not None:
        loss = loss * tokens.carries
    if tokens.reference is not None:
        kl = k3(logprobs, tokens.reference)
        loss = loss + rules.kl_weight * (kl * ratio if rules.kl_with_ratio else kl)
    mismatch = k3(logprobs.detach(), tokens.behaviour)
    return TokenLoss(loss, ratio.detach(), clipped.float(), mismatch, log_ratio.detach())


def k3(logprobs: Tensor, other: Tensor) -> Tensor:
    """Estimate of KL(policy || other) at tokens drawn from the policy; never negative."""
    difference = (other - logprobs).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    return difference.exp() - difference - 1


def mean_of_sequence(values: Tensor, sequence: Tensor) -> Tensor:
    """For each token the mean over its sequence: [N], [N] -> [N]."""
    none = torch.zeros_like(values)  # there are at most as many sequences as tokens
    sums = none.index_add(0, sequence, values)
    tokens = none.index_add(0, sequence, torch.ones_like(values)).clamp(min=1)
    return (sums / tokens)[sequence]


def _policy_loss(
    logprobs: Tensor, ratio: Tensor, advantages: Tensor, rules: AlgorithmSection
) -> tuple[Tensor, Tensor]:
    """Without KL; and where the ratio lost its effect."""
    if rules.loss == "cispo":
        return _cispo(logprobs, ratio, advantages, rules.ratio_cap)
    if rules.loss == "clip":
        return _clip(ratio, advantages, rules)
    return -advantages * logprobs, torch.zeros_like(ratio)


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


def _is_near(logprobs: Tensor, tokens: Tokens, delta: float) -> Tensor:
    """1 for tokens of sequences that are good, or not far from what the policy would say."""
    far = mean_of_sequence(tokens.behaviour - logprobs, tokens.sequence) > delta
    return (~(far & (tokens.advantages < 0))).float()
