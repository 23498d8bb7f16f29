"""Where the values of a published tensor lie inside vLLM's model.

vLLM fuses tensors (q, k and v into one), pads them and, over several GPUs, takes a block of each.
How is known to its own loading alone. So whole policies go through that, and it is watched: each
copy it makes tells where a tensor, or a block of it, has gone. A change is then written straight
to these places, without a pass over the model.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from openrs_core.errors import RunError
from openrs_core.weights import Change, Layout, Part, Snapshot
from services.model.words import from_numpy, words_of

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Place:
    """A block of a published tensor, and where it lies in a parameter of the model.

    Rows and columns are those of the block; one that is in one piece is a single row.
    """

    parameter: str
    rows: int
    columns: int
    first: int
    """Of the published tensor: where the block begins, in values."""
    stride: int
    """Of the published tensor: from one row to the next."""
    to_first: int
    """Of the parameter: where the block begins."""
    to_stride: int
    """Of the parameter: from one row to the next."""

    def targets(self, positions: Positions) -> tuple[Positions, slice | NDArray[np.bool_]]:
        """Where in the parameter these ascending positions lie; which of them this block holds."""
        if self.rows == 1:
            begin, end = np.searchsorted(positions, (self.first, self.first + self.columns))
            return positions[begin:end] + (self.to_first - self.first), slice(begin, end)
        row, column = np.divmod(positions - self.first, self.stride)
        inside = (row >= 0) & (row < self.rows) & (column < self.columns)
        return (self.to_first + row * self.to_stride + column)[inside], inside


class Places:
    """The places of every tensor of a layout in one model."""

    def __init__(self, layout: Layout, found: dict[int, list[Place]]) -> None:
        """Raise RunError when a tensor has no place."""
        for number, tensor in enumerate(layout.tensors):
            if tensor.size and not found.get(number):
                raise RunError(
                    f"model.path: vLLM keeps {tensor.name} in another form than it is published "
                    "(quantised, or converted); use a model in model.dtype"
                )
        self._found = found
        self._read: Snapshot | None = None

    def write(self, model: nn.Module, change: Change) -> None:
        """Put new values in their places."""
        parameters = dict(model.named_parameters())
        with torch.inference_mode():
            for part in change.parts:
                for place in self._found.get(part.number, []):
                    _write(part, place, parameters[place.parameter])

    def read(self, model: nn.Module, layout: Layout) -> Snapshot:
        """The values in their places; the next call overwrites what this one returned."""
        self._read = snapshot = self._read or Snapshot(layout)  # new memory is slow to come by
        parameters = dict(model.named_parameters())
        for number, places in self._found.items():
            words = from_numpy(snapshot.tensor(number))
            for place in places:
                block, values = _blocks(words, place, parameters[place.parameter])
                block.copy_(values)
        return snapshot


_PLACES: "WeakKeyDictionary[nn.Module, Places]" = WeakKeyDictionary()
"""Of each model of this process: a worker of vLLM has one."""


@dataclass(frozen=True, slots=True)
class Write:
    """Puts a change into a model; made to be called by each of vLLM's workers."""

    layout: Layout
    change: Change

    def __call__(self, model: nn.Module) -> None:
        """Through vLLM's own loading when every tensor is there whole, else to the places."""
        if len(self.change.parts) == len(self.layout.tensors) and all(
            part.positions is None for part in self.change.parts
        ):
            _PLACES[model] = load(model, self.layout, self.change)
        else:
            _PLACES[model].write(model, self.change)


@dataclass(frozen=True, slots=True)
class Read:
    """Reads a whole policy back out of a model that was loaded through `Write`."""

    layout: Layout

    def __call__(self, model: nn.Module) -> Snapshot:
        """What the model computes with now."""
        return _PLACES[model].read(model, self.layout)


def load(model: Any, layout: Layout, change: Change) -> Places:
    """Load a whole policy the way vLLM does; where everything went."""
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


def _blocks(tensor: Tensor, place: Place, parameter: Tensor) -> tuple[Tensor, Tensor]:
    """The block of a published tensor (flat words), and that of the parameter."""
    words, shape = words_of(parameter), (place.rows, place.columns)
    offset = words.storage_offset() + place.to_first
    ours = tensor.as_strided(shape, (place.stride, 1), tensor.storage_offset() + place.first)
    return ours, words.as_strided(shape, (place.to_stride, 1), offset)


def _write(part: Part, place: Place, parameter: Tensor) -> None:
    if part.positions is None:
        values, block = _blocks(from_numpy(part.values), place, parameter)
        block.copy_(values)
        return
    words = words_of(parameter)
    targets, inside = place.targets(part.positions)
    index, values = torch.from_numpy(targets), from_numpy(part.values[inside])
    words.index_copy_(0, index.to(words.device), values.to(words.device))


def _tensor(layout: Layout, part: Part) -> Tensor:
    spec = layout.tensors[part.number]
    return from_numpy(part.values).view(getattr(torch, spec.dtype)).reshape(spec.shape)
