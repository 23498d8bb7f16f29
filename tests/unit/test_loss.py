"""The loss against TRL 1.16, against obvious loops, and against committed numbers.

What is compared: tests/loss_cases.py; how TRL computes it: tests/trl_loss.py.

`python tests/unit/test_loss.py` writes tests/golden/loss.json anew, from TRL, never from openrs.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from services.learner.trainer.loss import TokenLoss, Tokens, k3, token_loss
from tests.loss_cases import (
    CASES,
    KL_WEIGHT,
    MAX_TOKENS,
    MORE,
    PLAIN,
    RATIO_CAP,
    RATIOS,
    VARIANTS,
    Case,
    Group,
    Result,
    difference,
    draw_groups,
    ours,
)
from tests.trl_loss import load_trl, trl_result

pytestmark = pytest.mark.arithmetic

GOLDEN = Path(__file__).parents[1] / "golden" / "loss.json"
TOLERANCE = 1e-6

every_case = pytest.mark.parametrize("case", CASES + MORE, ids=str)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


@pytest.fixture(scope="module")
def groups(golden: dict[str, Any]) -> list[Group]:
    return golden["groups"]


@pytest.fixture(scope="module")
def trainer() -> type:
    return load_trl()


@every_case
def test_loss_and_gradient_equal_trl(trainer: type, case: Case, groups: list[Group]) -> None:
    assert difference(ours(case, groups), trl_result(trainer, case, groups)) <= TOLERANCE


# --- loops and golden numbers ------------------------------------------------------------------


def slow(case: Case, groups: list[Group]) -> Result:
    """The definition, one token at a time, in float64 and with the derivative by hand."""
    rows = [row for group in groups for row in group]
    tokens = sum(len(row["logprobs"]) for row in rows)
    total, gradient = 0.0, []
    for group in groups:
        in_group = sum(len(row["logprobs"]) for row in group)
        for row in group:
            share = {
                "token": 1 / tokens,
                "sequence": 1 / len(rows) / len(row["logprobs"]),
                "group": 1 / len(groups) / in_group,
                "constant": 1 / len(rows) / MAX_TOKENS,
            }[case.aggregation]
            for at, logprob in enumerate(row["logprobs"]):
                behaviour = row["behaviour"][at] if case.off_policy else logprob
                loss, slope = slow_token(case, logprob, behaviour, row["advantage"])
                if case.kl:
                    gap = row["reference"][at] - logprob
                    loss += KL_WEIGHT * (math.exp(gap) - gap - 1)
                    slope += KL_WEIGHT * (1 - math.exp(gap))
                total += share * loss
                gradient.append(share * slope)
    return total, gradient


def slow_token(case: Case, logprob: float, behaviour: float, gain: float) -> tuple[float, float]:
    """Loss and derivative of one token, without KL."""
    rules, ratio = case.rules, math.exp(logprob - behaviour)
    if case.variant == "reinforce":
        return -gain * logprob, -gain
    if case.variant == "cispo":
        weight = min(ratio, RATIO_CAP)
        return -weight * gain * logprob, -weight * gain
    low, high = 1 - rules.clip_low, 1 + rules.clip_high
    most = rules.dual_clip or math.inf
    free, clipped = min(ratio, most) * gain, min(max(ratio, low), high) * gain
    moves = ratio < most if free <= clipped else low < ratio < high
    return -min(free, clipped), -ratio * gain if moves else 0.0


@pytest.mark.parametrize("case", CASES + PLAIN, ids=str)
def test_loss_and_gradient_equal_obvious_loops(case: Case, groups: list[Group]) -> None:
    assert difference(ours(case, groups), slow(case, groups)) <= TOLERANCE


@every_case
def test_loss_and_gradient_equal_the_committed_numbers(
    case: Case, groups: list[Group], golden: dict[str, Any]
) -> None:
    expected = golden["cases"][str(case)]
    assert difference(ours(case, groups), (expected["loss"], expected["gradient"])) <= TOLERANCE


# --- properties --------------------------------------------------------------------------------


def each_alone(
    logprobs: Tensor, behaviour: Tensor, gains: Tensor, rules: Any, reference: Tensor | None
) -> TokenLoss:
    """Of tokens that are sequences of their own."""
    sequence = torch.arange(len(logprobs))
    return token_loss(logprobs, Tokens(behaviour, gains, sequence, reference), rules)


@pytest.mark.parametrize("log_ratio", [-100.0, 100.0])
@pytest.mark.parametrize("gain", [-1.0, 1.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_absurd_ratio_leaves_loss_and_gradient_finite(
    variant: str, gain: float, log_ratio: float
) -> None:
    logprobs = torch.tensor([-101.0], requires_grad=True)
    behaviour, rules = logprobs.detach() - log_ratio, Case(variant, "token", True, True).rules
    each = each_alone(logprobs, behaviour, torch.tensor([gain]), rules, behaviour)
    each.loss.sum().backward()
    found = torch.stack([each.loss, each.ratio, each.clipped, each.mismatch_kl, logprobs.grad])
    assert found.isfinite().all()


@pytest.mark.parametrize("gain", [-1.0, 1.0])
@pytest.mark.parametrize("variant", ["cispo", "clip_symmetric", "clip_asymmetric", "dual_clip"])
def test_a_token_counts_as_clipped_where_its_gradient_lost_its_ratio(
    variant: str, gain: float
) -> None:
    logprobs = torch.full((len(RATIOS),), -1.0, requires_grad=True)
    behaviour, gains = -1 - torch.tensor(RATIOS).log(), torch.full((len(RATIOS),), gain)
    each = each_alone(logprobs, behaviour, gains, Case(variant, "token", True, False).rules, None)
    each.loss.sum().backward()
    lost = (logprobs.grad + torch.tensor(RATIOS) * gain).abs() > 1e-3
    assert each.clipped.bool().tolist() == lost.tolist()


def policy_gradient(loss_of: Any) -> Tensor:
    """Gradient of a loss of log-probabilities, with respect to the logits behind them."""
    logits = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logprobs = logits.log_softmax(-1)[torch.arange(6), torch.arange(6)]
    loss_of(logprobs).sum().backward()
    return logits.grad


GAINS = torch.tensor([1.0, -0.5, 2.0, -1.0, 0.3, -2.0])
DRIFT = torch.tensor([0.0, 0.3, -0.4, 1.9, -1.0, 1.7])
"""Log-ratios, two of them beyond the cap of 5."""


def test_at_ratio_one_the_gradient_of_cispo_is_that_of_reinforce() -> None:
    rules = Case("cispo", "token", True, False).rules
    found = policy_gradient(lambda p: each_alone(p, p.detach(), GAINS, rules, None).loss)
    assert torch.equal(found, policy_gradient(lambda p: -GAINS * p))


@pytest.mark.parametrize("variant", ["clip_symmetric", "clip_asymmetric", "dual_clip"])
def test_truncated_importance_sampling_has_the_gradient_of_cispo(variant: str) -> None:
    """One optimizer step per batch: the policy it starts from is the policy that moves."""
    cispo, clip = (Case(name, "token", True, False).rules for name in ("cispo", variant))

    def truncated(p: Tensor) -> Tensor:
        weight = DRIFT.exp().clamp(max=RATIO_CAP)
        return weight * each_alone(p, p.detach(), GAINS, clip, None).loss

    found = policy_gradient(lambda p: each_alone(p, p.detach() - DRIFT, GAINS, cispo, None).loss)
    torch.testing.assert_close(found, policy_gradient(truncated), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("gain", [-1.3, 0.7])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_equals_finite_differences(variant: str, gain: float) -> None:
    """cispo only beyond its cap: elsewhere the gradient is no derivative of the value."""
    ratios = [r for r in RATIOS if variant != "cispo" or r > RATIO_CAP]
    behaviour = -1 - torch.tensor(ratios, dtype=torch.float64).log()
    gains, reference = torch.full_like(behaviour, gain), torch.full_like(behaviour, -1.4)
    rules = Case(variant, "token", True, True).rules
    logprobs = torch.full_like(behaviour, -1.0).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: each_alone(p, behaviour, gains, rules, reference).loss, logprobs
    )


def test_k3_is_zero_for_equal_policies_and_positive_for_others() -> None:
    logprobs = torch.linspace(-5, -0.1, 20)
    assert torch.equal(k3(logprobs, logprobs), torch.zeros(20))
    assert (k3(logprobs, logprobs.flip(0)) > 0).all()


if __name__ == "__main__":
    drawn = draw_groups()
    results = {str(case): trl_result(load_trl(), case, drawn) for case in CASES + MORE}
    lines = [
        f'"{name}": ' + json.dumps({"loss": loss, "gradient": [float(f"{g:.8g}") for g in slopes]})
        for name, (loss, slopes) in results.items()
    ]
    GOLDEN.write_text(
        f'{{"groups": {json.dumps(drawn)},\n"cases": {{\n' + ",\n".join(lines) + "\n}}\n"
    )
