"""The bits of a tensor as words: in torch, and in numpy as the weight channel has them.

torch compares, gathers and copies signed words, the weight channel has unsigned ones. Only their
bits count, so each is the other seen under another type.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from openrs_core.weights.layout import word

_SIGNED = {2: torch.int16, 4: torch.int32}
"""The type of a word, by its bytes."""


def words_of(tensor: Tensor) -> Tensor:
    """The bits of a contiguous tensor, flat, as signed words; the same memory."""
    flat = tensor.detach().view(-1)
    return flat.view(_SIGNED[flat.element_size()])


def to_numpy(words: Tensor) -> NDArray[Any]:
    """Words as the weight channel has them; the same memory, unless they are on a device."""
    array: NDArray[Any] = words.cpu().numpy()
    return array.view(word(array.itemsize))


def from_numpy(words: NDArray[Any]) -> Tensor:
    """Words of the weight channel as torch's; the same memory."""
    return torch.from_numpy(words.view(f"<i{words.itemsize}"))
