"""Models that do more to their logits than the learner does are refused, by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING

from openrs_core.errors import RunError
from services.learner.trainer import ranks
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.own_forward import refuse_other_forward
from services.learner.trainer.policy_network import PolicyNetwork, load_policy_network
from tests.tiny_model import tiny_recipe, write_random_model

pytestmark = pytest.mark.arithmetic

ALIKE = ("qwen2", "llama", "qwen3", "gemma3_text")
OTHERWISE: dict[str, dict[str, Any]] = {
    "gemma2": {},  # tanh
    "cohere": {},  # a scale
    "granite": {"logits_scaling": 8.0},  # one more
    "phi": {},  # a bias of the head
}
WIDE = 1.0
"""Spread of the initial weights: logits then are of the size that trained models have."""


def network(directory: Path, kind: str, dtype: str, **keys: Any) -> PolicyNetwork:
    if kind not in CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {kind}")
    keys |= {"initializer_range": WIDE}
    model = write_random_model(directory, kind, dtype=getattr(torch, dtype), **keys)
    recipe = tiny_recipe(model, dtype, sampler={"temperature": 0.7})
    return load_policy_network(recipe, model)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ALIKE)
def test_a_model_whose_logits_are_its_head_alone_is_taken(
    tmp_path: Path, kind: str, dtype: str
) -> None:
    refuse_other_forward(network(tmp_path, kind, dtype), "some/model")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", OTHERWISE)
def test_a_model_that_does_more_to_its_logits_is_refused_by_name(
    tmp_path: Path, kind: str, dtype: str
) -> None:
    policy = network(tmp_path, kind, dtype, **OTHERWISE[kind])
    named = (
        rf"model\.path is 'some/model', a {type(policy.model).__name__}: its own forward differs"
    )
    with pytest.raises(RunError, match=named):
        refuse_other_forward(policy, "some/model")


def test_a_model_that_drops_something_all_the_same_is_refused(tmp_path: Path) -> None:
    """In training, by code of its own that no key of its configuration governs."""
    policy = network(tmp_path, "qwen2", "float32")
    policy.model.model.layers[0].register_forward_hook(
        lambda layer, _, output: torch.nn.functional.dropout(output, 0.5, layer.training)
    )
    with pytest.raises(RunError, match="its own forward differs"):
        refuse_other_forward(policy, "some/model")


def test_a_model_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    policy = network(tmp_path, "qwen2", "float32")
    with torch.no_grad():
        policy.model.model.norm.weight.fill_(torch.nan)
    with pytest.raises(RunError, match="its own forward differs"):
        refuse_other_forward(policy, "some/model")


def test_the_comparison_runs_on_a_cpu_and_leaves_the_attention_that_was_chosen(
    tmp_path: Path,
) -> None:
    """With flash-attn, say, which has no kernel for a CPU."""
    policy, seen = network(tmp_path, "qwen2", "float32"), set[str]()
    config = policy.model.config
    policy.model.set_attn_implementation("eager")
    policy.model.register_forward_pre_hook(lambda *_: seen.add(config._attn_implementation))
    refuse_other_forward(policy, "some/model")
    assert (seen, config._attn_implementation) == ({"sdpa"}, "eager")


def test_a_trainer_begins_with_no_such_model(tmp_path: Path) -> None:
    model = write_random_model(tmp_path, "cohere")
    try:
        with pytest.raises(RunError, match="CohereForCausalLM"):
            DeepSpeedTrainer(tiny_recipe(model), model)
    finally:
        ranks.leave()
