"""One whole policy in memory: a layout and its buffer."""

from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from openrs_core.errors import WeightsError
from openrs_core.weights.change import Change, Part
from openrs_core.weights.layout import SECTIONS, Layout, word

Words = NDArray[Any]
"""Bit patterns of values: uint16 or uint32."""


class Snapshot:
    """The values of every tensor, as words."""

    def __init__(self, layout: Layout, buffer: NDArray[np.uint8] | None = None) -> None:
        """Over `buffer` (not copied), or over zeros; WeightsError when its size is wrong."""
        self.layout = layout
        self.buffer = np.zeros(layout.nbytes, np.uint8) if buffer is None else buffer
        if self.buffer.nbytes != layout.nbytes:
            raise WeightsError(
                f"{self.buffer.nbytes} bytes for a layout of {layout.nbytes}: not a whole policy"
            )

    @property
    def bytes(self) -> memoryview:
        """The buffer, for who wants bytes."""
        return self.buffer.data.cast("B")

    def section(self, width: int) -> Words:
        """All words of one width, as a view."""
        start = 0
        for each in SECTIONS:
            end = start + each * self.layout.lengths[each]
            if each == width:
                return self.buffer[start:end].view(word(width))
            start = end
        raise WeightsError(f"no section of width {width}")

    def tensor(self, number: int) -> Words:
        """One tensor's words, flat, as a view."""
        spec, start = self.layout.tensors[number], self.layout.starts[number]
        return self.section(spec.width)[start : start + spec.size]

    def apply(self, change: Change) -> None:
        """Overwrite what changed; doing it twice does no harm."""
        for part in change.parts:
            if part.positions is None:
                self.tensor(part.number)[:] = part.values
            else:
                self.tensor(part.number)[part.positions] = part.values

    def before(self, change: Change) -> Change:
        """The values a change would overwrite: applying them undoes it."""
        return Change(
            tuple(
                Part(part.number, part.positions, self._at(part.number, part.positions))
                for part in change.parts
            )
        )

    def _at(self, number: int, positions: NDArray[np.int64] | None) -> Words:
        words = self.tensor(number)
        return words.copy() if positions is None else words[positions]

    def copy(self) -> "Snapshot":
        """Another one with the same values."""
        return Snapshot(self.layout, self.buffer.copy())

    def whole(self) -> Change:
        """Every tensor whole, as views: what turns any policy of this layout into this one."""
        numbers = range(len(self.layout.tensors))
        return Change(tuple(Part(number, None, self.tensor(number)) for number in numbers))

    def digest(self) -> str:
        """blake3 of layout and values, hex: equal for equal weights only."""
        hasher = blake3(self.layout.packed)
        hasher.update(self.bytes)
        return str(hasher.hexdigest())
