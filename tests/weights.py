"""Small policies for tests of the weight channel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from openrs_core.weights import Change, Layout, Snapshot, Tensor
from openrs_core.weights.change import changed_part
from openrs_core.weights.delta import BLOCK
from openrs_core.weights.layout import WIDTHS, word

SMALL = Layout([Tensor("a", "bfloat16", (4, 10)), Tensor("b", "float32", (7,))])

AWKWARD = {
    2: (0x0000, 0x8000, 0x7FC0, 0x7FC1, 0xFFFF, 0x7F80, 0x0001, 0x8001),
    4: (0, 0x80000000, 0x7FC00000, 0x7FC00001, 0xFFFFFFFF, 0x7F800000, 1, 0x80000001),
}
"""+0, -0, NaNs with different payloads, infinity, denormals: words that floats would confuse."""


def a_snapshot(fill: int = 0, layout: Layout = SMALL) -> Snapshot:
    """Every byte is `fill`."""
    return Snapshot(layout, np.full(layout.nbytes, fill, np.uint8))


def after(snapshot: Snapshot, changes: Sequence[tuple[int, int, int]]) -> Snapshot:
    """A copy with some words changed: (tensor, position, word)."""
    copy = snapshot.copy()
    for number, position, value in changes:
        copy.tensor(number)[position] = value
    return copy


def difference(old: Snapshot, new: Snapshot) -> Change:
    """What leads from one to the other."""
    numbers = range(len(old.layout.tensors))
    found = (changed_part(number, old.tensor(number), new.tensor(number)) for number in numbers)
    return Change(tuple(part for part in found if part is not None))


tensors = st.builds(
    Tensor,
    name=st.text(min_size=1, max_size=8),
    dtype=st.sampled_from(sorted(WIDTHS)),
    shape=st.one_of(
        st.tuples(st.integers(0, 40)),
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        st.tuples(st.integers(BLOCK - 2, 2 * BLOCK + 2)),  # more than one block
    ),
)
layouts = st.lists(tensors, min_size=1, max_size=4, unique_by=lambda t: t.name).map(Layout)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Snapshot, Snapshot]:
    """Two policies of one layout: nothing, something or everything differs in each tensor."""
    old = Snapshot(draw(layouts))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    old.buffer[:] = random.integers(0, 256, old.buffer.size, np.uint8)
    new = old.copy()
    for number in range(len(old.layout.tensors)):
        _alter(new.tensor(number), draw(st.sampled_from([0.0, 1e-4, 0.01, 0.09, 0.5, 1.0])), random)
    return old, new


def _alter(words: NDArray[Any], share: float, random: np.random.Generator) -> None:
    chosen = np.flatnonzero(random.random(len(words)) < share)
    awkward = np.array(AWKWARD[words.itemsize], word(words.itemsize))
    words[chosen] = random.choice(awkward, len(chosen))
