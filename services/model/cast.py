"""Weights in another type: the safetensors of one directory, written to another."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def cast_weights(source: Path, target: Path, dtype: str) -> int:
    """Write every safetensors file of `source` to `target`, floating-point tensors as `dtype`.

    One file at a time is in memory. Returns the bytes of all tensors.
    """
    size = 0
    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors = {name: _as(file.get_tensor(name), dtype) for name in file.keys()}  # noqa: SIM118
            save_file(tensors, target / path.name, metadata=file.metadata())
        size += sum(tensor.nbytes for tensor in tensors.values())
    return size


def _as(tensor: torch.Tensor, dtype: str) -> torch.Tensor:
    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
