"""Ways to configure the loss, tokens to compute it on, and how openrs computes it.

CASES   {cispo, three clips} x {four aggregations} x {on, off policy} x {with, without KL}
MORE    each option of `[algorithm]` that changes the loss, on some of them, off policy
PLAIN   `reinforce`, which TRL does not have
"""

import math
import random
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openrs_core.recipe.algorithm import AlgorithmSection
from services.learner.algorithm.aggregation import token_weights
from services.learner.trainer.entropy import quantile
from services.learner.trainer.loss import Tokens, token_loss

MAX_TOKENS = 16
KL_WEIGHT, RATIO_CAP = 0.04, 5.0
RATIOS = (0.3, 0.79, 0.81, 1.0, 1.19, 1.21, 1.27, 1.29, 3.9, 4.1, 4.9, 5.1)
"""Both sides of every clip: 0.8, 1.2, 1.28, 4 and 5."""

VARIANTS: dict[str, dict[str, Any]] = {
    "cispo": {"loss": "cispo", "ratio_cap": RATIO_CAP},
    "clip_symmetric": {"loss": "clip", "clip_low": 0.2, "clip_high": 0.2, "dual_clip": 0.0},
    "clip_asymmetric": {"loss": "clip", "clip_low": 0.2, "clip_high": 0.28, "dual_clip": 0.0},
    "dual_clip": {"loss": "clip", "clip_low": 0.2, "clip_high": 0.28, "dual_clip": 4.0},
}
REINFORCE = {"reinforce": {"loss": "reinforce"}}
AGGREGATIONS = ("token", "sequence", "group", "constant")

OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "sequence_ratio": {"ratio_level": "sequence"},
    "opsm": {"opsm_delta": 0.1},
    "kl_with_ratio": {"kl_with_ratio": True},
    "kl_with_sequence_ratio": {"kl_with_ratio": True, "ratio_level": "sequence"},
    "top_entropy": {"top_entropy_share": 0.2},  # at a token: 0.8 of 35 places is 28
    "top_entropy_between": {"top_entropy_share": 0.3},  # between two tokens
    "entropy_bonus": {"entropy_weight": 0.05},
    "top_entropy_bonus": {"top_entropy_share": 0.3, "entropy_weight": 0.05},
}

Group = list[dict[str, Any]]
Result = tuple[float, list[float]]
"""Loss, and its gradient with respect to every token's log-probability; where entropy earns
something, then also with respect to every token's entropy."""


@dataclass(frozen=True)
class Case:
    """One way to configure the loss."""

    variant: str
    aggregation: str
    off_policy: bool
    kl: bool
    option: str = ""

    def __str__(self) -> str:
        """As it is named in reports and in the golden file."""
        off, kl = "off" if self.off_policy else "on", "kl" if self.kl else "no_kl"
        name = f"{self.variant}-{self.aggregation}-{off}_policy-{kl}"
        return f"{name}-{self.option}" if self.option else name

    @property
    def rules(self) -> AlgorithmSection:
        """The recipe's section for it."""
        weight = KL_WEIGHT if self.kl else 0.0
        variant = (VARIANTS | REINFORCE)[self.variant]
        return AlgorithmSection(**variant, **OPTIONS[self.option], kl_weight=weight)


NO, YES, BOTH = (False,), (True,), (False, True)
SOME = ("cispo", "dual_clip")
CASES = [Case(*parts) for parts in product(VARIANTS, AGGREGATIONS, BOTH, BOTH)]
PLAIN = [Case(*parts) for parts in product(REINFORCE, AGGREGATIONS, BOTH, BOTH)]
MORE = [
    Case(*parts)
    for parts in chain(
        product(VARIANTS, ("token", "sequence"), YES, BOTH, ("sequence_ratio",)),
        product(SOME, AGGREGATIONS, YES, BOTH, ("opsm",)),
        product(VARIANTS, ("token", "constant"), YES, YES, ("kl_with_ratio",)),
        product(SOME, ("token",), YES, YES, ("kl_with_sequence_ratio",)),
        product(SOME, ("token", "constant"), YES, BOTH, ("top_entropy", "top_entropy_between")),
        product(SOME, ("token", "constant"), YES, NO, ("entropy_bonus", "top_entropy_bonus")),
    )
]


def draw_groups() -> list[Group]:
    """Two groups of four; tokens of either sign of the advantage run through all RATIOS."""
    rng, entropies = random.Random(0), random.Random(1)
    used = {1.0: 0, -1.0: 0}

    def row(length: int, sign: float) -> dict[str, Any]:
        first, used[sign] = used[sign], used[sign] + length
        logprobs = [round(rng.uniform(-3, -0.05), 4) for _ in range(length)]
        log_ratios = [math.log(RATIOS[(first + at) % len(RATIOS)]) for at in range(length)]
        return {
            "advantage": round(sign * rng.uniform(0.3, 1.5), 4),
            "logprobs": logprobs,
            "behaviour": [round(p - x, 4) for p, x in zip(logprobs, log_ratios, strict=True)],
            "reference": [round(p + rng.gauss(0, 0.5), 4) for p in logprobs],
            "entropies": [round(entropies.uniform(0, 3), 4) for _ in range(length)],
        }

    return [
        [row(length, sign) for length, sign in zip(lengths, (1.0, -1.0, 1.0, -1.0), strict=True)]
        for lengths in ((3, 7, 5, 1), (6, 4, 8, 2))
    ]


def spread(groups: list[Group], name: str) -> Tensor:
    """A value per token, in order."""
    values = [row[name] for group in groups for row in group]
    lengths = [len(row["logprobs"]) for group in groups for row in group]
    each = [v if isinstance(v, list) else [v] * n for v, n in zip(values, lengths, strict=True)]
    return torch.tensor(list(chain(*each)))


def sequences_of(groups: list[Group]) -> Tensor:
    """Which sequence a token is of."""
    lengths = [len(row["logprobs"]) for group in groups for row in group]
    return torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))


def ours(case: Case, groups: list[Group]) -> Result:
    """The loss as openrs computes it."""
    logprobs, entropies = (
        spread(groups, name).requires_grad_() for name in ("logprobs", "entropies")
    )
    lengths = [[len(row["logprobs"]) for row in group] for group in groups]
    shares = chain(*token_weights(lengths, case.aggregation, MAX_TOKENS))
    weights = torch.tensor([*shares]).repeat_interleave(torch.tensor([*chain(*lengths)]))
    limit = quantile(entropies.detach(), 1 - case.rules.top_entropy_share)
    carries = (entropies.detach() >= limit).float()
    tokens = Tokens(
        spread(groups, "behaviour") if case.off_policy else logprobs.detach(),
        spread(groups, "advantage"),
        sequences_of(groups),
        reference=spread(groups, "reference") if case.kl else None,
        carries=carries if case.rules.top_entropy_share < 1 else None,
    )
    loss = (token_loss(logprobs, tokens, case.rules).loss * weights).sum()
    earned = case.rules.entropy_weight * (entropies * carries).sum() / carries.sum()
    (loss - earned).backward()
    gradient = logprobs.grad.tolist() + (entropies.grad.tolist() if earned else [])
    return (loss - earned).item(), gradient


def difference(one: Result, other: Result) -> float:
    """The largest of a value."""
    assert len(one[1]) == len(other[1])
    return float(np.abs(np.subtract([one[0], *one[1]], [other[0], *other[1]])).max())
