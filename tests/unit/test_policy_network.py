"""The model as the loss needs it."""

from pathlib import Path

import pytest
import torch

from openrs_core.errors import RecipeError
from services.learner.step import Sequence
from services.learner.trainer.batch import Packing, assemble
from services.learner.trainer.policy_network import PolicyNetwork, attention, load_policy_network
from tests.tiny_model import tiny_recipe, write_random_model, write_tiny_model

pytestmark = pytest.mark.arithmetic

SEQUENCE = Sequence(tuple(range(5, 12)), tuple(range(40, 49)), (-1.0,) * 9, 1.0, 1 / 9)


def policy_at(model: str, temperature: float) -> PolicyNetwork:
    return load_policy_network(tiny_recipe(model, sampler={"temperature": temperature}), model)


def test_logprobs_are_those_of_the_distribution_that_was_sampled(tmp_path: Path) -> None:
    """Open-RS trained at temperature 1 on what was drawn at 0.7."""
    tiny, batch = write_tiny_model(tmp_path), assemble([SEQUENCE], "padded", pad=0)
    policy = policy_at(tiny, 0.7)
    found = policy(batch)[0].detach()
    logits = policy.model(input_ids=batch.input_ids).logits[0, batch.index].detach()
    expected = (logits / 0.7).log_softmax(-1).gather(-1, batch.targets[:, None])[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (found - policy_at(tiny, 1.0)(batch)[0]).abs().min() > 1e-3


@pytest.mark.parametrize(
    ("kind", "probabilities"),
    [
        ("qwen2", {"attention_dropout": 0.5}),
        ("phi", {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attention_dropout": 0.5}),
    ],
)
def test_in_training_nothing_is_dropped_whatever_the_model_was_made_with(
    tmp_path: Path, kind: str, probabilities: dict[str, float]
) -> None:
    policy = policy_at(write_random_model(tmp_path, kind, **probabilities), 1.0)
    batch = assemble([SEQUENCE], "padded", pad=0)
    still = policy.eval()(batch)[0]
    assert torch.equal(policy.train()(batch)[0], still)


def test_packed_sequences_on_a_gpu_without_flash_attention_are_refused_with_a_remedy() -> None:
    """torch's attention would compute all of [tokens x tokens], and say nothing."""
    with pytest.raises(RecipeError, match=r'learner\.packing is "packed".* install flash-attn'):
        attention("packed", cuda=True, flash=False)


def test_a_shared_prompt_is_refused_for_layers_with_a_window(tmp_path: Path) -> None:
    """They would take the row's own mask for theirs, and see farther than they should."""
    model = write_random_model(tmp_path, "gemma2", sliding_window=4)
    recipe = tiny_recipe(model, learner={"packing": "shared"})
    with pytest.raises(RecipeError, match=r"layers of sliding_attention.* set learner\.packing"):
        load_policy_network(recipe, model)


@pytest.mark.parametrize(
    ("packing", "cuda", "flash", "expected"),
    [
        ("packed", True, True, "flash_attention_2"),
        ("packed", False, False, "sdpa"),
        ("padded", True, True, "sdpa"),
        ("shared", True, True, "sdpa"),
        ("padded", True, False, "sdpa"),
        ("padded", False, False, "sdpa"),
    ],
)
def test_attention_goes_with_the_packing_and_the_machine(
    packing: Packing, cuda: bool, flash: bool, expected: str
) -> None:
    assert attention(packing, cuda, flash) == expected
