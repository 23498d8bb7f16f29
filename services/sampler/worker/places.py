"""Where the values of a published tensor lie inside vLLM's model.

vLLM fuses tensors (q, k and v into one), pads them and, over several workers, takes a block of
each. How is known to its own loading alone. So whole policies go through that, and it is watched
(`watch.py`): each copy it makes tells where a tensor, or a block of it, has gone. A change is then
written straight to these places, without a pass over the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from torch import Tensor, nn

from openrs_core.errors import ProtocolError, RunError
from openrs_core.weights import Change, Layout, Part, Snapshot
from services.model.words import from_numpy, to_numpy, words_of

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

    def of(self, words: NDArray[Any]) -> NDArray[Any]:  # [rows, columns]
        """The block of the published tensor, which is given flat, as a view."""
        strides = (self.stride * words.itemsize, words.itemsize)
        return as_strided(words[self.first :], (self.rows, self.columns), strides)

    def within(self, parameter: Tensor) -> Tensor:  # [rows, columns]
        """The block of the parameter, as a view."""
        words = words_of(parameter)
        offset = words.storage_offset() + self.to_first
        return words.as_strided((self.rows, self.columns), (self.to_stride, 1), offset)


@dataclass(frozen=True, slots=True)
class Block:
    """The values of one place, as one worker has them."""

    number: int
    """Which tensor of the layout."""
    place: Place
    values: NDArray[Any]  # [rows, columns]


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

    def write(self, model: nn.Module, change: Change) -> None:
        """Put new values in their places."""
        parameters = dict(model.named_parameters())
        with torch.inference_mode():
            for part in change.parts:
                for place in self._found.get(part.number, []):
                    _write(part, place, parameters[place.parameter])

    def read(self, model: nn.Module) -> list[Block]:
        """The values in their places: views of the model's own, unless they are on a device."""
        return list(self._blocks(dict(model.named_parameters())))

    def _blocks(self, parameters: dict[str, nn.Parameter]) -> Iterator[Block]:
        for number, places in self._found.items():
            for place in places:
                values = to_numpy(place.within(parameters[place.parameter]))
                yield Block(number, place, values)


def joined(layout: Layout, blocks: Sequence[Block]) -> Snapshot:
    """The policy that the blocks of all workers make up; what nobody holds is zero.

    Raises:
        ProtocolError: two workers hold different values of one tensor.
    """
    whole = Snapshot(layout)
    for block in blocks:
        block.place.of(whole.tensor(block.number))[:] = block.values
    for block in blocks:
        if not np.array_equal(block.place.of(whole.tensor(block.number)), block.values):
            name = layout.tensors[block.number].name
            raise ProtocolError(f"vLLM's workers hold different values of {name}")
    return whole


def _write(part: Part, place: Place, parameter: Tensor) -> None:
    if part.positions is None:
        place.within(parameter).copy_(from_numpy(place.of(part.values)))
        return
    words = words_of(parameter)
    targets, inside = place.targets(part.positions)
    index, values = torch.from_numpy(targets), from_numpy(part.values[inside])
    words.index_copy_(0, index.to(words.device), values.to(words.device))
