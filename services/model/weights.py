"""A model's weights as a policy, and a policy's as tensors."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from openrs_core.weights import Layout, Snapshot
from openrs_core.weights import Tensor as Spec
from services.model.words import from_numpy, to_numpy, words_of


def base_policy(model: str, dtype: str) -> Snapshot:
    """The weights in a model's directory, in the recipe's type and under the names they have there.

    They are those of policy version 0, unless the learner's library has other names for them; then
    the digests differ, and the sampler gets its first weights as a snapshot.
    """
    shapes = dict(_shapes(Path(model)))
    snapshot = Snapshot(Layout(Spec(name, dtype, shape) for name, shape in shapes.items()))
    for name, tensor in _tensors(Path(model)):
        if name in shapes:
            words = words_of(tensor.to(getattr(torch, dtype)).contiguous())
            snapshot.tensor(snapshot.layout.number[name])[:] = to_numpy(words)
    return snapshot


def tensors_of(policy: Snapshot) -> dict[str, Tensor]:
    """A policy's tensors by name, as views of its values."""
    return {
        spec.name: from_numpy(policy.tensor(number))
        .view(getattr(torch, spec.dtype))
        .reshape(spec.shape)
        for number, spec in enumerate(policy.layout.tensors)
    }


def _shapes(model: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of every tensor that is published: a tied lm_head is the embedding."""
    tied = json.loads((model / "config.json").read_text()).get("tie_word_embeddings", False)
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no dict, and it cannot be iterated
                if not (tied and name == "lm_head.weight"):
                    yield name, tuple(file.get_slice(name).get_shape())


def _tensors(model: Path) -> Iterator[tuple[str, Tensor]]:
    for path in sorted(model.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)
