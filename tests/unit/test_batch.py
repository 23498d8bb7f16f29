"""The batch: weights that add up, cuts that lose nothing, tensors with everything in its place."""

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from services.learner.algorithm.aggregation import Aggregation, token_weights
from services.learner.step import Sequence
from services.learner.trainer.batch import Packing, assemble, cut
from services.learner.trainer.head import CHUNK_TOKENS, scored
from services.learner.trainer.policy_network import PolicyNetwork, load_policy_network
from tests.tiny_model import tiny_recipe, write_tiny_model

PACKINGS: tuple[Packing, ...] = ("padded", "packed", "shared")
BUDGET = 40

lengths_by_group = st.lists(
    st.lists(st.integers(1, 60), min_size=1, max_size=6), min_size=1, max_size=6
)


def sequence(number: int, prompt: int, completion: int) -> Sequence:
    """Tokens that name their sequence and place, so that a mix-up shows."""
    ids = tuple((17 * number + 3 * place) % 260 for place in range(prompt + completion))
    drawn = tuple(-0.1 * number - 0.01 * place for place in range(completion))
    return Sequence(ids[:prompt], ids[prompt:], drawn, number - 1.5, 1 / (number + 1))


@st.composite
def sequences(draw: st.DrawFn) -> list[Sequence]:
    """Prompts and completions that fit the budget together, barely or easily."""
    prompts = draw(st.lists(st.integers(1, BUDGET - 1), min_size=1, max_size=20))
    alone = [
        sequence(number, prompt, draw(st.integers(1, BUDGET - prompt)))
        for number, prompt in enumerate(prompts)
    ]
    others = draw(st.lists(st.sampled_from(alone), max_size=20))
    return draw(st.permutations([*alone, *map(sibling, others)]))


def sibling(one: Sequence) -> Sequence:
    """Another answer to the same prompt."""
    backwards = one.completion[::-1]
    return replace(one, completion=backwards, advantage=-one.advantage)


# --- weights -----------------------------------------------------------------------------------


@pytest.mark.arithmetic
@pytest.mark.parametrize("aggregation", ["token", "sequence", "group"])
@given(lengths=lengths_by_group)
def test_weights_of_all_tokens_add_up_to_one(
    aggregation: Aggregation, lengths: list[list[int]]
) -> None:
    weights = token_weights(lengths, aggregation, max_tokens=60)
    pairs = zip(weights, lengths, strict=True)
    total = sum(w * n for row, group in pairs for w, n in zip(row, group, strict=True))
    assert total == pytest.approx(1)


@given(lengths=lengths_by_group)
def test_a_constant_weight_ignores_every_length(lengths: list[list[int]]) -> None:
    sequences = sum(len(group) for group in lengths)
    weights = token_weights(lengths, "constant", max_tokens=60)
    assert weights == [[1 / (sequences * 60)] * len(group) for group in lengths]


@pytest.mark.arithmetic
@given(lengths=lengths_by_group)
def test_sequences_and_groups_get_equal_shares(lengths: list[list[int]]) -> None:
    by_sequence = token_weights(lengths, "sequence", max_tokens=60)
    by_group = token_weights(lengths, "group", max_tokens=60)
    sequences = sum(len(group) for group in lengths)
    for group, each, together in zip(lengths, by_sequence, by_group, strict=True):
        assert [w * n for w, n in zip(each, group, strict=True)] == [
            pytest.approx(1 / sequences) for _ in group
        ]
        assert sum(w * n for w, n in zip(together, group, strict=True)) == pytest.approx(
            1 / len(lengths)
        )


# --- cuts --------------------------------------------------------------------------------------


def computed(micro_batch: list[Sequence], packing: Packing) -> int:
    """Tokens that go through the model, padding included."""
    return assemble(micro_batch, packing, pad=0).input_ids.numel()


@pytest.mark.parametrize("packing", PACKINGS)
@given(batch=sequences(), ranks=st.integers(1, 5))
def test_every_sequence_is_in_exactly_one_micro_batch(
    packing: Packing, batch: list[Sequence], ranks: int
) -> None:
    found = [s for rank in cut(batch, BUDGET, ranks, packing) for part in rank for s in part]
    assert Counter(found) == Counter(batch)


@pytest.mark.parametrize("packing", PACKINGS)
@given(batch=sequences(), ranks=st.integers(1, 5))
def test_every_rank_has_as_many_micro_batches(
    packing: Packing, batch: list[Sequence], ranks: int
) -> None:
    """Or the ranks would wait for one another for ever."""
    parts = cut(batch, BUDGET, ranks, packing)
    assert len(parts) == ranks
    assert len({len(rank) for rank in parts}) == 1


@pytest.mark.parametrize("packing", PACKINGS)
@given(batch=sequences(), ranks=st.integers(1, 5), budget=st.integers(1, 2 * BUDGET))
def test_no_micro_batch_exceeds_the_budget_but_a_single_long_sequence(
    packing: Packing, batch: list[Sequence], ranks: int, budget: int
) -> None:
    for rank in cut(batch, budget, ranks, packing):
        for part in rank:
            assert len(part) <= 1 or computed(part, packing) <= budget


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_large_enough_budget_cuts_nothing(packing: Packing) -> None:
    batch = [sequence(number, 5, 5 + number) for number in range(6)]
    assert [len(part) for part in cut(batch, 10**6, 1, packing)[0]] == [6]


def test_a_rank_without_work_gets_an_empty_micro_batch() -> None:
    alone = sequence(0, 3, 4)
    assert cut([alone], BUDGET, 3, "padded") == [[[alone]], [[]], [[]]]


def test_a_shared_prompt_is_computed_once() -> None:
    one = sequence(0, 20, 5)
    batch = [
        one,
        sequence(1, 30, 2),
        sibling(one),
        replace(one, completion=(7,), behaviour_logprobs=(-1.0,)),
    ]
    assert computed(batch, "shared") == 2 * 32
    assert computed(batch, "padded") == 4 * 32


def test_a_group_too_large_for_the_budget_is_cut_with_its_prompt_in_each_part() -> None:
    one = sequence(0, 20, 10)
    parts = cut([one] * 5, BUDGET, 1, "shared")[0]
    assert [len(part) for part in parts] == [2, 2, 1]


# --- tensors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", PACKINGS)
@given(batch=sequences())
def test_every_completion_token_is_predicted_from_the_one_before_it(
    packing: Packing, batch: list[Sequence]
) -> None:
    tensors = assemble(batch, packing, pad=0)
    flat = tensors.input_ids.flatten()
    expected = [t for s in batch for t in s.completion]
    before = [t for s in batch for t in (s.prompt[-1:] + s.completion)[:-1]]
    assert tensors.targets.tolist() == expected
    assert flat[tensors.index].tolist() == before
    if packing != "shared":  # there the first token may come after other completions
        assert flat[tensors.index + 1].tolist() == expected


@pytest.mark.parametrize("packing", PACKINGS)
def test_values_of_a_sequence_are_given_to_each_of_its_tokens(packing: Packing) -> None:
    batch = [sequence(0, 2, 3), sequence(1, 4, 1)]
    tensors = assemble(batch, packing, pad=0)
    assert tensors.advantages.tolist() == [-1.5, -1.5, -1.5, -0.5]
    assert tensors.weights.tolist() == [1.0, 1.0, 1.0, 0.5]
    assert tensors.sequence.tolist() == [0, 0, 0, 1]
    drawn = batch[0].behaviour_logprobs + batch[1].behaviour_logprobs
    assert torch.equal(tensors.behaviour_logprobs, torch.tensor(drawn))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> PolicyNetwork:
    model = write_tiny_model(tmp_path_factory.mktemp("tiny"))
    return load_policy_network(tiny_recipe(model), model)


@pytest.mark.arithmetic
@pytest.mark.parametrize("packing", PACKINGS)
def test_a_sequence_has_the_same_logprobs_alone_and_among_others(
    policy: PolicyNetwork, packing: Packing
) -> None:
    """Off by rounding: how far one sequence at a time is from float64 is what that does on this
    machine, and another order of the same operations does as much; 4, as for the gradient."""
    batch = MIXED
    with torch.no_grad():
        together = policy(assemble(batch, packing, pad=0))
        alone = [policy(assemble([each], "padded", pad=0)) for each in batch]
    exact = torch.cat([in_float64(policy, each) for each in batch])
    for found, expected, true in zip(
        together, map(torch.cat, zip(*alone, strict=True)), exact.T, strict=True
    ):
        assert (found - expected).abs().max() <= 4 * (expected - true).abs().max()


MIXED = [sequence(0, 9, 30), sequence(1, 4, 1), sequence(2, 1, 17)]
MIXED += [sibling(MIXED[0]), sibling(MIXED[2]), sequence(0, 9, 12)]


@torch.no_grad()
def in_float64(policy: PolicyNetwork, each: Sequence) -> torch.Tensor:
    """Log-probability and entropy of its tokens, [T, 2], by the model itself."""
    model = copy.deepcopy(policy.model).double()
    ids = torch.tensor([each.prompt + each.completion])
    logits = model(input_ids=ids).logits[0, len(each.prompt) - 1 : -1] / policy.temperature
    every = logits.log_softmax(-1)
    chosen = every.gather(-1, torch.tensor(each.completion)[:, None])[:, 0]
    return torch.stack([chosen, -(every.exp() * every).sum(-1)], -1)


class _Attention(TorchFunctionMode):
    """Notes how attention is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[bool, bool]] = []  # is there a mask, is it causal

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            self.calls.append((kwargs["attn_mask"] is not None, kwargs["is_causal"]))
        return func(*args, **(kwargs or {}))


def test_rows_of_unlike_length_need_no_mask(policy: PolicyNetwork) -> None:
    """With one, a GPU would use neither flash attention nor grouped keys and values."""
    batch = assemble(MIXED, "padded", pad=0)
    with torch.no_grad(), _Attention() as attention:
        policy(batch)
    assert batch.input_ids.shape == (6, 39)
    assert attention.calls == [(False, True)] * policy.model.config.num_hidden_layers


@pytest.mark.arithmetic
def test_more_tokens_than_one_chunk_have_the_same_logprobs(policy: PolicyNetwork) -> None:
    batch = [sequence(number, 10, 390) for number in range(1 + CHUNK_TOKENS // 390)]
    with torch.no_grad():
        together = policy(assemble(batch, "padded", pad=0))[0]
        alone = [policy(assemble([each], "padded", pad=0))[0] for each in batch]
    assert len(together) > CHUNK_TOKENS
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


@pytest.mark.arithmetic
def test_the_gradient_of_the_lm_head_is_summed_over_chunks_in_float32(tmp_path: Path) -> None:
    """And rounded to bfloat16 once: rounded chunk by chunk, a third of its values are others."""
    model = write_tiny_model(tmp_path, dtype=torch.bfloat16)
    policy = load_policy_network(tiny_recipe(model, "bfloat16"), model)
    policy.model.lm_head.weight = torch.nn.Parameter(policy.model.lm_head.weight.detach().clone())
    batch = assemble([sequence(number, 10, 390) for number in range(3)], "padded", pad=0)
    rows: list[torch.Tensor] = []
    policy.model.model.norm.register_forward_hook(lambda *called: rows.append(called[-1]))
    policy(batch)[0].sum().backward()
    chunks = rows[0].detach().flatten(0, 1)[batch.index].split(CHUNK_TOKENS)
    head = policy.model.lm_head.weight.detach().float().requires_grad_()
    parts = [
        torch.autograd.grad(scored(part, head, targets, policy.temperature)[0].sum(), head)[0]
        for part, targets in zip(chunks, batch.targets.split(CHUNK_TOKENS), strict=True)
    ]
    found = policy.model.lm_head.weight.grad
    assert len(parts) == 2
    assert differing(found, sum(parts).bfloat16()) < 0.01
    assert differing(found, sum(part.bfloat16() for part in parts)) > 0.2


def differing(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of values."""
    return (one != other).float().mean().item()


@pytest.mark.arithmetic
def test_an_empty_micro_batch_has_no_tokens_and_a_gradient_of_zero(policy: PolicyNetwork) -> None:
    logprobs, entropy = policy(assemble([], "padded", pad=0))
    assert len(logprobs) == len(entropy) == 0
    slopes = torch.autograd.grad(logprobs.sum(), list(policy.parameters()), allow_unused=True)
    assert not any(slope.any() for slope in slopes if slope is not None)


def test_models_are_written_alike_and_weights_follow_the_seed(tmp_path: Path) -> None:
    """What other tests take for granted of tests/tiny_model.py."""
    one, same, other = (
        Path(write_tiny_model(tmp_path / name, seed=seed), "model.safetensors").read_bytes()
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert one == same != other
