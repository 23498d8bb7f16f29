"""How the tensors of a policy lie in one flat buffer.

The order is fixed by the tensors themselves (widest type first, then by name), so two processes
that hold the same tensors have the same layout, and equal weights have equal bytes. Tensors of
one width lie next to each other: such a stretch is a *section*, an array of 16- or 32-bit words.
Values are only ever handled as words, so NaN payloads and the sign of zero are kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import msgpack
import numpy as np

from openrs_core.errors import WeightsError

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a value, by its type; other types have no place in a layout."""

SECTIONS = (4, 2)
"""Widths in the order of the buffer: so every section is aligned."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Name, type and shape of one tensor.

    Example:
        Tensor("model.norm.weight", "bfloat16", (576,))
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many values."""
        return prod(self.shape)

    @property
    def width(self) -> int:
        """Bytes of one value."""
        return WIDTHS[self.dtype]


class Layout:
    """The tensors of a policy, in the order of the buffer."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """Raise WeightsError when a type is none of WIDTHS or a name comes twice."""
        found = list(tensors)
        for tensor in found:
            if tensor.dtype not in WIDTHS:
                raise WeightsError(f"tensor {tensor.name}: type {tensor.dtype} cannot be sent")
        self.tensors = tuple(sorted(found, key=lambda t: (-t.width, t.name)))
        self.number = {tensor.name: number for number, tensor in enumerate(self.tensors)}
        if len(self.number) != len(self.tensors):
            raise WeightsError("two tensors of one name")
        self.starts = tuple(self._starts())
        """Where each tensor begins in its section, in words."""
        self.lengths = {w: sum(t.size for t in self.tensors if t.width == w) for w in SECTIONS}
        """Words of each section."""

    def _starts(self) -> Iterator[int]:
        taken = dict.fromkeys(SECTIONS, 0)
        for tensor in self.tensors:
            yield taken[tensor.width]
            taken[tensor.width] += tensor.size

    @property
    def nbytes(self) -> int:
        """Bytes of the whole buffer."""
        return sum(width * length for width, length in self.lengths.items())

    @cached_property
    def packed(self) -> bytes:
        """The wire form; part of every digest."""
        rows = [(t.name, t.dtype, t.shape) for t in self.tensors]
        packed: bytes = msgpack.packb(rows)
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> "Layout":
        """The layout in a wire form.

        Raises:
            WeightsError: it is none.
        """
        try:
            rows = msgpack.unpackb(packed, use_list=False)
            return cls(_tensor(*row) for row in rows)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise WeightsError(f"no layout: {error}") from error

    def __eq__(self, other: object) -> bool:
        """Same tensors."""
        return isinstance(other, Layout) and self.tensors == other.tensors


def word(width: int) -> np.dtype[Any]:
    """The unsigned little-endian type that holds one value's bits."""
    return np.dtype(f"<u{width}")


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(name, str) or any(not isinstance(n, int) or n < 0 for n in shape):
        raise ValueError(f"{name!r} has shape {shape!r}")
    return Tensor(name, dtype, tuple(shape))
