"""Learns the places of a policy from vLLM's own loading: each copy it makes shows one."""

from bisect import bisect_right
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from openrs_core.weights import Change, Layout, Part
from services.model.words import from_numpy
from services.sampler.worker.places import Place, Places


def load(model: Any, layout: Layout, change: Change) -> Places:
    """Load a whole policy the way vLLM does; where everything went.

    Raises:
        RunError: a tensor went nowhere as it is: its loading converts it.
    """
    tensors = [_tensor(layout, part) for part in change.parts]
    with _Watch(model, tensors) as watch:
        model.load_weights(
            (spec.name, tensor) for spec, tensor in zip(layout.tensors, tensors, strict=True)
        )
    return Places(layout, watch.found)


class _Watch(TorchFunctionMode):
    """Notes every copy out of the given tensors into a parameter of the model."""

    def __init__(self, model: nn.Module, tensors: list[Tensor]) -> None:
        super().__init__()
        self.found: dict[int, list[Place]] = {}
        self._parameters = {
            p.untyped_storage().data_ptr(): (name, p) for name, p in model.named_parameters()
        }
        self._spans = sorted(
            (t.data_ptr(), t.data_ptr() + t.nbytes, number) for number, t in enumerate(tensors)
        )

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.Tensor.copy_:
            self._note(args[0], args[1])
        return func(*args, **(kwargs or {}))

    def _note(self, target: Tensor, source: Tensor) -> None:
        at = bisect_right(self._spans, (source.data_ptr(), float("inf"), 0)) - 1
        named = self._parameters.get(target.untyped_storage().data_ptr())
        if at < 0 or named is None or source.data_ptr() >= self._spans[at][1]:
            return
        begin, _, number = self._spans[at]
        first = (source.data_ptr() - begin) // source.element_size()
        offset = int(target.storage_offset() - named[1].storage_offset())
        if place := _place(named[0], source, target, first, offset):
            self.found.setdefault(number, []).append(place)


def _place(parameter: str, source: Tensor, target: Tensor, first: int, offset: int) -> Place | None:
    """None when the copy converts, or moves more than one block."""
    if source.dtype != target.dtype or source.shape != target.shape:
        return None
    if source.is_contiguous() and target.is_contiguous():
        size = source.numel()
        return Place(parameter, 1, size, first, size, offset, size)
    if source.dim() != 2 or source.stride(1) != 1 or target.stride(1) != 1:
        return None
    rows, columns = source.shape
    return Place(parameter, rows, columns, first, source.stride(0), offset, target.stride(0))


def _tensor(layout: Layout, part: Part) -> Tensor:
    spec = layout.tensors[part.number]
    return from_numpy(part.values).view(getattr(torch, spec.dtype)).reshape(spec.shape)
