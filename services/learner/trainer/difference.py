"""What an optimizer step changed, found where the weights are.

The values last published stay on the weights' own device: comparing happens there, and from a GPU
only what changed crosses to the host.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from openrs_core.weights import Change, Layout, Part, Snapshot
from openrs_core.weights import Tensor as Spec
from openrs_core.weights.change import DENSE, changed_part
from services.model.words import to_numpy, words_of


def spec(name: str, tensor: Tensor, shape: Iterable[int]) -> Spec:
    """Name, type and shape of a tensor, as the weight channel has them."""
    return Spec(name, str(tensor.dtype).removeprefix("torch."), tuple(shape))


class Difference:
    """The values last published, and what has changed since."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._last: dict[int, Tensor] = {}

    def begin(self, named: Iterable[tuple[str, Tensor]]) -> Snapshot:
        """Remember the values of every tensor; they are the first snapshot."""
        snapshot = Snapshot(self._layout)
        for name, tensor in named:
            number = self._layout.number[name]
            self._last[number] = words_of(tensor.contiguous()).clone()
            snapshot.tensor(number)[:] = to_numpy(self._last[number])
        return snapshot

    def take(self, named: Iterable[tuple[str, Tensor]]) -> Change:
        """What changed since the last call, and remember it."""
        parts = []
        for name, tensor in named:
            number = self._layout.number[name]
            if part := changed(number, self._last[number], words_of(tensor.contiguous())):
                parts.append(part)
        return Change(tuple(sorted(parts, key=lambda part: part.number)))


def changed(number: int, last: Tensor, now: Tensor) -> Part | None:
    """What is new in tensor `number`, given as flat words; `last` becomes like `now`."""
    if now.device.type == "cpu":  # numpy finds positions faster than torch there
        part = changed_part(number, to_numpy(last), to_numpy(now))
    else:
        part = changed_on_device(number, last, now)
    if part is None:
        return None
    if part.positions is None:
        last.copy_(now)
    else:
        index = torch.from_numpy(part.positions).to(last.device)
        last.index_copy_(0, index, now[index])
    return part


def changed_on_device(number: int, last: Tensor, now: Tensor) -> Part | None:
    """The same found with torch alone: positions and new values come to the host."""
    positions = torch.nonzero(now != last).flatten()
    if len(positions) == 0:
        return None
    if len(positions) > DENSE * len(now):
        return Part(number, None, to_numpy(now.cpu().clone()))
    return Part(number, positions.cpu().numpy(), to_numpy(now[positions].cpu()))
