"""A model small enough to test with: random Qwen2, tied embeddings, the toy tokenizer.

write_tiny_model   -> a Hugging Face directory
write_random_model -> another, of any architecture of transformers, without a tokenizer
tiny_recipe        -> a recipe that names it
"""

from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from openrs_core.recipe.file import parse
from openrs_core.recipe.training import TrainingRecipe
from services.learner.step import Sequence
from services.toy.task import chain_sums
from services.toy.tokenizer import train_tokenizer

MAX_POSITIONS = 512


def write_tiny_model(
    directory: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, width: int = 128
) -> str:
    """A model and its tokenizer in a directory; the seed decides the weights."""
    problems = islice(chain_sums("train", 4, 0), 200)
    tokenizer = train_tokenizer(f"{p.problem}\n{p.work}\n{p.answer}" for p in problems)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        initializer_range=0.06,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).to(dtype).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def write_random_model(
    directory: Path, kind: str, *, dtype: torch.dtype = torch.float32, **keys: Any
) -> str:
    """The architecture by the name its configuration has; biases are not 0, as they begin."""
    config = AutoConfig.for_model(
        kind, vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=None, eos_token_id=1, **keys,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    model.to(dtype).save_pretrained(directory)
    return str(directory)


def tiny_recipe(model: str, dtype: str = "float32", **changes: dict[str, Any]) -> TrainingRecipe:
    """A recipe for the model in a directory; `changes` are keys by section."""
    table: dict[str, dict[str, Any]] = {
        "model": {"path": model, "dtype": dtype},
        "data": {"train": "problems.jsonl", "max_prompt_tokens": 256},
        "sampler": {"max_tokens": 64, "max_sequences": 64, "kv_cache_mib": 64, "eager": True},
        "learner": {"steps": 1, "groups_per_step": 1, "group_size": 8},
    }
    for section, keys in changes.items():
        table.setdefault(section, {}).update(keys)
    return parse({"name": "tiny", **table}, source="tests/tiny_model.py", kind=TrainingRecipe)


def a_batch(seed: int, second_advantage: float = -1.0) -> list[Sequence]:
    """Two sequences: with two ranks, one for each."""
    draw = torch.Generator().manual_seed(seed)
    return [
        Sequence(
            prompt=(5, 6, 7),
            completion=tuple(torch.randint(3, 260, (12,), generator=draw).tolist()),
            behaviour_logprobs=(-5.0,) * 12,
            advantage=gain,
            weight=1 / 24,
        )
        for gain in (1.0, second_advantage)
    ]
