"""What differs between two policies of one layout: new values, tensor by tensor.

Values are absolute, not differences: a change can be applied twice, and nothing drifts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DENSE = 0.10
"""Share of changed values from which a tensor is sent whole: finding, packing and unpacking
positions then costs more than the bytes it saves on one machine."""

COMPARED = 1 << 20
"""Words compared at once: both sides and the result stay in the cache."""


@dataclass(frozen=True, slots=True)
class Part:
    """The new values of one tensor."""

    number: int
    """Which tensor of the layout."""

    positions: NDArray[np.int64] | None  # [n]
    """Where in the flat tensor, ascending; None: everywhere."""

    values: NDArray[Any]  # [n]
    """The new words at these positions."""


@dataclass(frozen=True, slots=True)
class Change:
    """The parts that differ, in the order of the layout."""

    parts: tuple[Part, ...]

    @property
    def values(self) -> int:
        """How many values are sent."""
        return sum(len(part.values) for part in self.parts)


def changed_part(number: int, old: NDArray[Any], new: NDArray[Any]) -> Part | None:
    """What is new in tensor `number`, both given as flat words; None: nothing.

    The values are copies: `new` may change afterwards.
    """
    found = positions_of_change(old, new)
    if len(found) == 0:
        return None
    if len(found) > DENSE * len(new):
        return Part(number, None, new.copy())
    return Part(number, found, new[found])


def positions_of_change(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.int64]:
    """Where two arrays of words differ, ascending."""
    starts = range(0, len(new), COMPARED)
    found = [np.flatnonzero(old[s : s + COMPARED] != new[s : s + COMPARED]) + s for s in starts]
    return np.concatenate(found) if found else np.zeros(0, np.int64)
