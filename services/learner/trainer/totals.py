"""What the tokens of a step add up to: sums, and the largest ratios, over micro-batches and ranks.

    w        importance ratio of a token, learner over behaviour policy
    outside  share of tokens with w outside [0.9, 1.1]
    ess      effective sample size as a share of the tokens, (sum w)^2 / (N sum w^2): 1 where all
             ratios are alike, near 0 where a few outweigh the rest

All of it stays on the device until `stats`: a look from the host would wait for the GPU.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from services.learner.step import SkipReason, StepStats
from services.learner.trainer.loss import TokenLoss

NEAR = (0.9, 1.1)
"""Ratios that bfloat16 alone explains for more than nine tokens in ten."""

SUMS = (
    "loss", "entropy", "mismatch_kl", "clipped", "clipped_positive", "clipped_negative", "outside",
    "ratio", "ratio_squared", "log_ratio", "tokens",
)  # fmt: skip


class Totals:
    """Of what was added so far."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64, device=device)
        self._highest = torch.zeros(2, dtype=torch.float64, device=device)
        """Of the ratios, and of |log ratio|."""

    def add(self, loss: Tensor, entropy: Tensor, each: TokenLoss, advantages: Tensor) -> None:
        """Count a micro-batch: its loss, and of each of its N tokens [N] the rest."""
        ratio, log_ratio = each.ratio.double(), each.log_ratio.double().abs()
        per_token = (
            entropy,
            each.mismatch_kl,
            each.clipped,
            each.clipped * (advantages > 0),
            each.clipped * (advantages < 0),
            (ratio < NEAR[0]) | (ratio > NEAR[1]),
            ratio,
            ratio**2,
            log_ratio,
            torch.ones_like(ratio),
        )
        sums = [loss.detach(), *(values.detach().sum() for values in per_token)]
        self._sums += torch.stack([value.double() for value in sums])
        if len(ratio):
            highest = torch.stack([ratio.max(), log_ratio.max()])
            self._highest = torch.maximum(self._highest, highest)

    def over_all_ranks(self) -> None:
        """Make them those of all ranks, on each."""
        dist.all_reduce(self._sums)
        dist.all_reduce(self._highest, op=dist.ReduceOp.MAX)

    @property
    def loss(self) -> float:
        """Of all micro-batches."""
        return self._sums[0].item()

    def stats(self, grad_norm: float, skipped: SkipReason) -> StepStats:
        """Means, where a mean says more than the sum."""
        total = dict(zip(SUMS, self._sums.tolist(), strict=True))
        tokens = total["tokens"]
        shares = ("clipped", "clipped_positive", "clipped_negative", "outside")
        ratio_max, log_ratio_max = self._highest.tolist()
        return StepStats(
            loss=total["loss"],
            grad_norm=grad_norm,
            entropy=total["entropy"] / tokens,
            mismatch_kl=total["mismatch_kl"] / tokens,
            log_ratio_mean=total["log_ratio"] / tokens,
            log_ratio_max=log_ratio_max,
            ratio_max=ratio_max,
            ess=total["ratio"] ** 2 / (tokens * total["ratio_squared"]),
            tokens=int(tokens),
            skipped=skipped,
            **{name: total[name] / tokens for name in shares},
        )
