"""The loss against TRL 1.16, against obvious loops, and against committed numbers.

64 cases: {cispo, three clips} x {four aggregations} x {on, off policy} x {with, without KL}.
TRL's cispo knows one normaliser, a number of tokens N: the other aggregations are made of it by
choosing N and calling it per row or per group.

`python tests/unit/test_loss.py` writes tests/golden/loss.json anew, from TRL, never from openrs.
"""

import json
import math
import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from openrs_core.recipe.algorithm import AlgorithmSection
from services.learner.algorithm.aggregation import token_weights
from services.learner.trainer.loss import k3, token_loss

pytestmark = pytest.mark.arithmetic

GOLDEN = Path(__file__).parents[1] / "golden" / "loss.json"
TOLERANCE = 1e-6
MAX_TOKENS = 16
KL_WEIGHT = 0.04
RATIO_CAP = 5.0
RATIOS = (0.3, 0.79, 0.81, 1.0, 1.19, 1.21, 1.27, 1.29, 3.9, 4.1, 4.9, 5.1)
"""Both sides of every clip: 0.8, 1.2, 1.28, 4 and 5."""

VARIANTS: dict[str, dict[str, Any]] = {
    "cispo": {"loss": "cispo", "ratio_cap": RATIO_CAP},
    "clip_symmetric": {"loss": "clip", "clip_low": 0.2, "clip_high": 0.2, "dual_clip": 0.0},
    "clip_asymmetric": {"loss": "clip", "clip_low": 0.2, "clip_high": 0.28, "dual_clip": 0.0},
    "dual_clip": {"loss": "clip", "clip_low": 0.2, "clip_high": 0.28, "dual_clip": 4.0},
}
TRL_NAMES = {"token": "dapo", "sequence": "grpo", "group": "bnpo", "constant": "dr_grpo"}

Group = list[dict[str, Any]]
Result = tuple[float, list[float]]
"""Loss, and its gradient with respect to every token's log-probability."""


@dataclass(frozen=True)
class Case:
    """One way to configure the loss."""

    variant: str
    aggregation: str
    off_policy: bool
    kl: bool

    def __str__(self) -> str:
        """As it is named in reports and in the golden file."""
        off, kl = "off" if self.off_policy else "on", "kl" if self.kl else "no_kl"
        return f"{self.variant}-{self.aggregation}-{off}_policy-{kl}"

    @property
    def rules(self) -> AlgorithmSection:
        """The recipe's section for it."""
        weight = KL_WEIGHT if self.kl else 0.0
        return AlgorithmSection(**VARIANTS[self.variant], kl_weight=weight)


CASES = [Case(*parts) for parts in product(VARIANTS, TRL_NAMES, (False, True), (False, True))]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def draw_groups() -> list[Group]:
    """Two groups of four; tokens of either sign of the advantage run through all RATIOS."""
    rng = random.Random(0)
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
        }

    return [
        [row(length, sign) for length, sign in zip(lengths, (1.0, -1.0, 1.0, -1.0), strict=True)]
        for lengths in ((3, 7, 5, 1), (6, 4, 8, 2))
    ]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


@pytest.fixture(scope="module")
def groups(golden: dict[str, Any]) -> list[Group]:
    return golden["groups"]


def spread(groups: list[Group], name: str) -> Tensor:
    """A value per token, in order."""
    values = [row[name] for group in groups for row in group]
    lengths = [len(row["logprobs"]) for group in groups for row in group]
    each = [v if isinstance(v, list) else [v] * n for v, n in zip(values, lengths, strict=True)]
    return torch.tensor(list(chain(*each)))


def ours(case: Case, groups: list[Group]) -> Result:
    logprobs = spread(groups, "logprobs").requires_grad_()
    behaviour = spread(groups, "behaviour") if case.off_policy else logprobs.detach()
    reference = spread(groups, "reference") if case.kl else None
    lengths = [[len(row["logprobs"]) for row in group] for group in groups]
    shares = chain(*token_weights(lengths, case.aggregation, MAX_TOKENS))
    weights = torch.tensor([*shares]).repeat_interleave(torch.tensor([*chain(*lengths)]))
    each = token_loss(logprobs, behaviour, spread(groups, "advantage"), case.rules, reference)
    loss = (each.loss * weights).sum()
    loss.backward()
    return loss.item(), logprobs.grad.tolist()


def difference(one: Result, other: Result) -> float:
    return float(np.abs(np.subtract([one[0], *one[1]], [other[0], *other[1]])).max())


# --- TRL ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trainer() -> type:
    return load_trl()


def load_trl() -> type:
    """GRPOTrainer, or skip: its `_compute_loss` is private and changes between releases."""
    trl = pytest.importorskip("trl", reason="TRL is the oracle; golden numbers stand in for it")
    if trl.__version__ != "1.16.0":
        pytest.skip(f"the oracle is TRL 1.16.0, installed is {trl.__version__}")
    return pytest.importorskip("trl.trainer.grpo_trainer").GRPOTrainer


def trl_result(trainer: type, case: Case, groups: list[Group]) -> Result:
    rows = [row for group in groups for row in group]
    batches = trl_micro_batches(case, groups, rows)
    loss, gradients = 0.0, {}
    for batch, normaliser in batches:
        part, gradient = trl_micro_batch(trainer, case, batch, normaliser, len(batches))
        loss += part
        gradients |= {id(row): values for row, values in zip(batch, gradient, strict=True)}
    return loss, [*chain.from_iterable(gradients[id(row)] for row in rows)]


def trl_micro_batches(case: Case, groups: list[Group], rows: Group) -> list[tuple[Group, int]]:
    """Rows that are computed together, and TRL's N for them (which only cispo and dapo read)."""
    tokens = sum(len(row["logprobs"]) for row in rows)
    if case.aggregation == "group":
        sizes = [sum(len(row["logprobs"]) for row in group) for group in groups]
        return [(group, len(groups) * size) for group, size in zip(groups, sizes, strict=True)]
    if case.aggregation == "sequence" and case.variant == "cispo":
        return [([row], len(rows) * len(row["logprobs"])) for row in rows]
    return [(rows, len(rows) * MAX_TOKENS if case.aggregation == "constant" else tokens)]


def trl_micro_batch(
    trainer: type, case: Case, rows: Group, normaliser: int, accumulated: int
) -> tuple[float, list[list[float]]]:
    lengths = [len(row["logprobs"]) for row in rows]

    def padded(name: str) -> Tensor:
        full = [row[name] + [-1.0] * (max(lengths) - len(row[name])) for row in rows]
        return torch.tensor(full)

    logprobs = padded("logprobs").requires_grad_()
    mask = torch.tensor([[int(at < n) for at in range(max(lengths))] for n in lengths])
    one = torch.ones(len(rows), 1, dtype=torch.int64)
    inputs = {
        "prompt_ids": one, "prompt_mask": one, "completion_ids": mask, "completion_mask": mask,
        "advantages": torch.tensor([row["advantage"] for row in rows]),
        "num_items_in_batch": torch.tensor(normaliser),
        "ref_per_token_logps": padded("reference"),
    }  # fmt: skip
    if case.off_policy:
        inputs["old_per_token_logps"] = padded("behaviour")
    namespace = trl_namespace(case, accumulated)
    namespace._get_per_token_logps_and_entropies = lambda *_, **__: (logprobs, 0 * mask, None)
    loss = trainer._compute_loss(namespace, None, inputs)
    loss.backward()
    return loss.item(), [g[:n] for g, n in zip(logprobs.grad.tolist(), lengths, strict=True)]


def trl_namespace(case: Case, accumulated: int) -> SimpleNamespace:
    """What `_compute_loss` reads of a trainer."""
    rules, cispo = case.rules, case.variant == "cispo"
    return SimpleNamespace(
        args=SimpleNamespace(
            delta=rules.dual_clip or None,
            use_bias_correction_kl=False,
            steps_per_generation=accumulated,  # so that N alone normalises
        ),
        accelerator=SimpleNamespace(
            num_processes=1, gather=lambda value: value, reduce=lambda value, reduction: value
        ),
        model=SimpleNamespace(training=True),
        loss_type="cispo" if cispo else TRL_NAMES[case.aggregation],
        epsilon_low=rules.clip_low,
        epsilon_high=rules.ratio_cap if cispo else rules.clip_high,
        beta=rules.kl_weight,
        importance_sampling_level="token",
        max_completion_length=MAX_TOKENS,
        current_gradient_accumulation_steps=accumulated,
        _metrics={"train": defaultdict(list)},
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        aux_loss_enabled=False,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        _entropy_bonus_enabled=False,
    )


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
    if case.variant == "cispo":
        weight = min(ratio, RATIO_CAP)
        return -weight * gain * logprob, -weight * gain
    low, high = 1 - rules.clip_low, 1 + rules.clip_high
    most = rules.dual_clip or math.inf
    free, clipped = min(ratio, most) * gain, min(max(ratio, low), high) * gain
    moves = ratio < most if free <= clipped else low < ratio < high
    return -min(free, clipped), -ratio * gain if moves else 0.0


@every_case
def test_loss_and_gradient_equal_obvious_loops(case: Case, groups: list[Group]) -> None:
    assert difference(ours(case, groups), slow(case, groups)) <= TOLERANCE


@every_case
def test_loss_and_gradient_equal_the_committed_numbers(
    case: Case, groups: list[Group], golden: dict[str, Any]
) -> None:
    expected = golden["cases"][str(case)]
    assert difference(ours(case, groups), (expected["loss"], expected["gradient"])) <= TOLERANCE


# --- properties --------------------------------------------------------------------------------


@pytest.mark.parametrize("log_ratio", [-100.0, 100.0])
@pytest.mark.parametrize("gain", [-1.0, 1.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_absurd_ratio_leaves_loss_and_gradient_finite(
    variant: str, gain: float, log_ratio: float
) -> None:
    logprobs = torch.tensor([-101.0], requires_grad=True)
    behaviour, rules = logprobs.detach() - log_ratio, Case(variant, "token", True, True).rules
    each = token_loss(logprobs, behaviour, torch.tensor([gain]), rules, behaviour)
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
    each = token_loss(logprobs, behaviour, gains, Case(variant, "token", True, False).rules, None)
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
    found = policy_gradient(lambda p: token_loss(p, p.detach(), GAINS, rules, None).loss)
    assert torch.equal(found, policy_gradient(lambda p: -GAINS * p))


@pytest.mark.parametrize("variant", ["clip_symmetric", "clip_asymmetric", "dual_clip"])
def test_truncated_importance_sampling_has_the_gradient_of_cispo(variant: str) -> None:
    """One optimizer step per batch: the policy it starts from is the policy that moves."""
    cispo, clip = (Case(name, "token", True, False).rules for name in ("cispo", variant))

    def truncated(p: Tensor) -> Tensor:
        weight = DRIFT.exp().clamp(max=RATIO_CAP)
        return weight * token_loss(p, p.detach(), GAINS, clip, None).loss

    found = policy_gradient(lambda p: token_loss(p, p.detach() - DRIFT, GAINS, cispo, None).loss)
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
        lambda p: token_loss(p, behaviour, gains, rules, reference).loss, logprobs
    )


def test_k3_is_zero_for_equal_policies_and_positive_for_others() -> None:
    logprobs = torch.linspace(-5, -0.1, 20)
    assert torch.equal(k3(logprobs, logprobs), torch.zeros(20))
    assert (k3(logprobs, logprobs.flip(0)) > 0).all()


if __name__ == "__main__":
    drawn = draw_groups()
    results = {str(case): trl_result(load_trl(), case, drawn) for case in CASES}
    lines = [
        f'"{name}": ' + json.dumps({"loss": loss, "gradient": [float(f"{g:.8g}") for g in slopes]})
        for name, (loss, slopes) in results.items()
    ]
    GOLDEN.write_text(
        f'{{"groups": {json.dumps(drawn)},\n"cases": {{\n' + ",\n".join(lines) + "\n}}\n"
    )
