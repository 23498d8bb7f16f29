"""Options of the loss: each acts, and acts as its paper says. The numbers: test_loss.py."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from openrs_core.recipe.algorithm import AlgorithmSection
from services.learner.algorithm.entropy import EntropyWeight
from services.learner.trainer.batch import assemble
from services.learner.trainer.entropy import quantile
from services.learner.trainer.loss import Tokens, mean_of_sequence, token_loss
from services.learner.trainer.policy_network import load_policy_network
from tests.loss_cases import MAX_TOKENS, OPTIONS, Case, difference, draw_groups, ours, spread
from tests.tiny_model import a_batch, tiny_recipe, write_tiny_model
from tests.trl_loss import load_trl, trl_namespace

pytestmark = pytest.mark.arithmetic

ROUNDING = 1e-6
"""Sums of ten terms of size one in float32 err by some 1e-7."""


@pytest.mark.parametrize("option", [name for name in OPTIONS if name])
def test_every_option_changes_loss_or_gradient(option: str) -> None:
    groups, plain = draw_groups(), Case("cispo", "token", True, True)
    with_it = ours(Case("cispo", "token", True, True, option), groups)
    loss, gradient = ours(plain, groups)
    changed = with_it[0], with_it[1][: len(gradient)]
    assert difference(changed, (loss, gradient)) > 1e-4


# --- sequences ---------------------------------------------------------------------------------


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_the_mean_of_a_sequence_is_that_of_its_tokens_wherever_they_lie(lengths, seed) -> None:
    numbers = np.random.default_rng(seed)
    sequence = numbers.permutation(np.repeat(np.arange(len(lengths)), lengths))
    values = numbers.normal(size=len(sequence))
    expected = [values[sequence == number].mean() for number in sequence]
    found = mean_of_sequence(torch.tensor(values), torch.tensor(sequence))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_of_no_tokens_there_is_no_mean() -> None:
    """A rank without work has an empty micro-batch."""
    assert len(mean_of_sequence(torch.zeros(0), torch.zeros(0, dtype=torch.int64))) == 0


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens_ratios() -> None:
    ratios = [[0.5, 2.0, 8.0], [3.0]]
    behaviour = -torch.tensor([r for row in ratios for r in row]).log() - 1
    tokens = Tokens(behaviour, torch.ones(4), torch.tensor([0, 0, 0, 1]))
    rules = AlgorithmSection(ratio_level="sequence")
    found = token_loss(torch.full((4,), -1.0), tokens, rules).ratio
    expected = [math.prod(row) ** (1 / len(row)) for row in ratios for _ in row]
    assert found.tolist() == pytest.approx(expected, rel=ROUNDING)


def test_a_sequence_does_not_depend_on_the_others_of_its_micro_batch() -> None:
    """Or the gradient would depend on the cut."""
    rules, gains = AlgorithmSection(ratio_level="sequence", opsm_delta=0.05), [1.0, -1.0, -0.5]
    draw = torch.Generator().manual_seed(0)
    parts = [-3 * torch.rand(length, generator=draw) for length in (3, 7, 2)]
    drawn = [part + 0.3 * torch.randn(len(part), generator=draw) for part in parts]

    def losses(*chosen: int) -> list[float]:
        numbers = [torch.full((len(parts[n]),), at) for at, n in enumerate(chosen)]
        advantages = [torch.full((len(parts[n]),), gains[n]) for n in chosen]
        behaviour = torch.cat([drawn[n] for n in chosen])
        tokens = Tokens(behaviour, torch.cat(advantages), torch.cat(numbers))
        return token_loss(torch.cat([parts[n] for n in chosen]), tokens, rules).loss.tolist()

    together = losses(2, 0, 1)
    assert together == pytest.approx(losses(2) + losses(0) + losses(1), abs=ROUNDING)


@pytest.mark.parametrize(
    ("gain", "gap", "carries"),
    [(-1.0, 0.6, False), (-1.0, 0.4, True), (-1.0, -3.0, True), (1.0, 0.6, True), (0.0, 9.0, True)],
)
def test_opsm_masks_bad_sequences_that_the_policy_would_no_longer_say(
    gain: float, gap: float, carries: bool
) -> None:
    """`gap` is the mean of log behaviour - log policy; the threshold 0.5."""
    logprobs = torch.tensor([-2.0, -3.0, -1.0], requires_grad=True)
    behaviour = logprobs.detach() + gap + torch.tensor([0.2, -0.3, 0.1])
    tokens = Tokens(behaviour, torch.full((3,), gain), torch.zeros(3, dtype=torch.int64))
    token_loss(logprobs, tokens, AlgorithmSection(opsm_delta=0.5)).loss.sum().backward()
    assert bool(logprobs.grad.any()) is (carries and gain != 0)


def test_opsm_masks_some_sequences_of_the_golden_groups_and_not_all() -> None:
    groups = draw_groups()
    with_it, without = (
        ours(Case("cispo", "token", True, False, option), groups)[1] for option in ("opsm", "")
    )
    masked = sum(one == 0 != other for one, other in zip(with_it, without, strict=True))
    assert 0 < masked < sum(gain < 0 for gain in spread(groups, "advantage"))


# --- entropy -----------------------------------------------------------------------------------


@given(
    values=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=40),
    at=st.floats(0, 1),
)
def test_a_quantile_equals_torch_s(values: list[float], at: float) -> None:
    expected = torch.quantile(torch.tensor(values, dtype=torch.float64), at)
    assert quantile(torch.tensor(values), at).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.35, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(5))
def test_the_tokens_that_carry_the_gradient_are_those_that_trl_chooses(share, seed) -> None:
    entropies = 3 * torch.rand(3, 17, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(3, 17)
    mask[1, 12:] = mask[2, 4:] = 0
    namespace = trl_namespace(load_trl(), Case("cispo", "token", True, False), 1)
    expected = namespace.get_high_entropy_mask(entropies, mask, 1 - share)
    own = entropies[mask.bool()]
    assert torch.equal(own >= quantile(own, 1 - share), expected[mask.bool()])


def test_the_weight_of_entropy_is_led_as_trl_leads_it() -> None:
    """For a run whose entropy crosses the target, touches it, and stays above it for long."""
    rules = AlgorithmSection(entropy_weight=0.008, entropy_target=0.3)
    case = Case("cispo", "token", True, False)
    namespace = trl_namespace(load_trl(), case, 1)
    namespace.use_adaptive_entropy = namespace._entropy_bonus_enabled = True
    namespace.args.entropy_target, namespace.entropy_coef = 0.3, 0.008
    adaptive = EntropyWeight(rules)
    for entropy in [0.5, 0.2, 0.3, 0.1, 0.31, 0.29, *[0.9] * 5, 0.1]:
        assert adaptive.weight == pytest.approx(trl_step(namespace, entropy), abs=ROUNDING)
        adaptive.made(entropy)
        assert adaptive.state()["weight"] == pytest.approx(namespace.entropy_coef)


def trl_step(namespace, entropy: float) -> float:
    """The weight that a step of this entropy is given by TRL."""
    entropies = torch.full((1, 2), entropy, dtype=torch.float64, requires_grad=True)
    zero, one = torch.zeros(1, 2, requires_grad=True), torch.ones(1, 2, dtype=torch.int64)
    namespace._get_per_token_logps_and_entropies = lambda *_, **__: (zero, entropies, None)
    inputs = {
        "prompt_ids": one, "prompt_mask": one, "completion_ids": one, "completion_mask": one,
        "advantages": torch.zeros(1), "num_items_in_batch": torch.tensor(2),
    }  # fmt: skip
    load_trl()._compute_loss(namespace, None, inputs).backward()
    return -entropies.grad.sum().item()


def test_without_a_target_the_weight_of_entropy_stays() -> None:
    constant = EntropyWeight(AlgorithmSection(entropy_weight=0.01))
    for entropy in (0.1, 5.0):
        constant.made(entropy)
        assert constant.weight == 0.01


@given(before=st.lists(st.floats(0, 1), max_size=20), after=st.lists(st.floats(0, 1), max_size=20))
def test_the_weight_of_entropy_goes_on_from_its_state(before, after) -> None:
    whole, begun, later = (EntropyWeight(AlgorithmSection(entropy_target=0.4)) for _ in range(3))
    for entropy in before:
        begun.made(entropy)
    later.restore(json.loads(json.dumps(begun.state())))
    for entropy in before + after:
        whole.made(entropy)
    for entropy in after:
        later.made(entropy)
    assert (later.weight, later.state()) == (whole.weight, whole.state())
    assert 0 <= later.weight <= 1


def test_the_entropy_has_a_gradient_where_one_is_asked_for(tmp_path: Path) -> None:
    """That of the definition, -sum p log p, by plain autograd on all logits at once."""
    recipe = tiny_recipe(write_tiny_model(tmp_path), sampler={"temperature": 0.7})
    policy = load_policy_network(recipe, str(tmp_path))
    batch = assemble(a_batch(0), "padded", pad=0)
    assert not policy(batch)[1].requires_grad

    def gradient(entropy: Tensor) -> Tensor:
        policy.zero_grad()
        (entropy * torch.linspace(0, 1, len(entropy))).sum().backward()
        return torch.cat([p.grad.flatten() for p in policy.parameters()])

    found = gradient(policy(batch, "gradient")[1])
    logits = policy.model(input_ids=batch.input_ids).logits
    log_p = (logits.flatten(0, 1)[batch.index] / 0.7).log_softmax(-1)
    expected = gradient(-(log_p.exp() * log_p).sum(-1))
    assert (found - expected).norm() <= 1e-5 * expected.norm()


# --- RLOO --------------------------------------------------------------------------------------


def test_on_policy_the_preset_rloo_has_the_gradient_of_trl_s_rloo_over_the_longest_length() -> None:
    """TRL sums log-probabilities over a sequence, and takes the mean over sequences; `constant`
    also divides by `max_tokens`."""
    groups = draw_groups()
    rows = [row for group in groups for row in group]
    _, found = ours(Case("cispo", "constant", False, False), groups)
    longest = max(len(row["logprobs"]) for row in rows)
    padded = [row["logprobs"] + [0.0] * (longest - len(row["logprobs"])) for row in rows]
    logprobs = torch.tensor(padded, requires_grad=True)
    mask = torch.tensor([[at < len(r["logprobs"]) for at in range(longest)] for r in rows]).long()
    trainer, case = load_trl("rloo_trainer", "RLOOTrainer"), Case("cispo", "token", False, False)
    namespace = trl_namespace(load_trl(), case, 1)
    namespace._get_per_token_logps_and_entropies = lambda *_, **__: (logprobs, 0 * mask, None)
    inputs = {
        "prompt_ids": mask, "prompt_mask": mask, "completion_ids": mask, "completion_mask": mask,
        "old_logps": (logprobs.detach() * mask).sum(1),
        "advantages": torch.tensor([row["advantage"] for row in rows]),
    }  # fmt: skip
    trainer._compute_loss(namespace, None, inputs).backward()
    expected = (logprobs.grad / MAX_TOKENS)[mask.bool()].tolist()
    assert found == pytest.approx(expected, abs=ROUNDING)
