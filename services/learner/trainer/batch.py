"""Sequences with a weight per token -> micro-batches of tensors.

The weights are fixed for the whole batch before it is cut (see `algorithm.aggregation`), so every
cut into micro-batches, either packing and any number of ranks give the same gradient.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor

from services.learner.step import Sequence

Packing = Literal["padded", "packed"]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What one forward and backward pass takes; N scored tokens."""

    input_ids: Tensor  # [R, L] int64
    position_ids: Tensor  # [R, L] int64; where they restart, another sequence begins
    index: Tensor  # [N] int64, into the flattened [R * L]: the position that predicts the token
    targets: Tensor  # [N] int64
    behaviour_logprobs: Tensor  # [N] float32
    advantages: Tensor  # [N] float32
    weights: Tensor  # [N] float32
    sequence: Tensor  # [N] int64: which of the micro-batch's sequences a token is of
    carries: Tensor | None = None  # [N]: 0 where no policy gradient is carried; None: 1 everywhere
    entropy_weights: Tensor | None = None  # [N]: what entropy takes off the loss; None: nothing

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on another device."""
        moved: dict[str, Any] = {
            name: value.to(device) if value is not None else None
            for name in self.__slots__
            for value in [getattr(self, name)]
        }
        return MicroBatch(**moved)


def cut(
    sequences: Many[Sequence], budget: int, ranks: int, packing: Packing
) -> list[list[list[Sequence]]]:
    """Micro-batches for each rank: `[rank][micro-batch][sequence]`, equally many for every rank.

    Longest first, so that rows of a padded micro-batch are of like length. A rank without work
    of its own gets an empty micro-batch.
    """
    ordered = sorted(sequences, key=lambda sequence: sequence.length, reverse=True)
    micro_batches: list[list[Sequence]] = []
    for sequence in ordered:
        if not micro_batches or not _fits(micro_batches[-1], sequence, budget, packing):
            micro_batches.append([])
        micro_batches[-1].append(sequence)
    micro_batches += [[] for _ in range(-len(micro_batches) % ranks)]
    return [micro_batches[rank::ranks] for rank in range(ranks)]


def _fits(micro_batch: Many[Sequence], sequence: Sequence, budget: int, packing: Packing) -> bool:
    if packing == "packed":
        return sum(other.length for other in micro_batch) + sequence.length <= budget
    return micro_batch[0].length * (len(micro_batch) + 1) <= budget  # the first is the longest


def assemble(sequences: Many[Sequence], packing: Packing, pad: int) -> MicroBatch:
    """Tensors of one micro-batch; an empty one is a single padding token with nothing scored.

    Rows are padded on the right, where causal attention of no real token looks, and nothing is
    scored. So no mask is needed, and none is made: with one, attention would run without the
    kernels that know no more than "causal". Positions go on over the padding, as transformers
    takes positions that restart for several sequences in one row, and builds a mask then.
    """
    if not sequences:
        return _tensors([[pad]], [[0]], [], [])
    ids = [list(sequence.prompt + sequence.completion) for sequence in sequences]
    if packing == "packed":
        starts = [sum(len(row) for row in ids[:number]) for number in range(len(ids))]
        positions = [place for row in ids for place in range(len(row))]
        return _tensors([list(chain.from_iterable(ids))], [positions], sequences, starts)
    width = max(len(row) for row in ids)
    padded = [row + [pad] * (width - len(row)) for row in ids]
    starts = [number * width for number in range(len(ids))]
    return _tensors(padded, [list(range(width)) for _ in ids], sequences, starts)


def _tensors(
    ids: list[list[int]],
    positions: list[list[int]],
    sequences: Many[Sequence],
    starts: Many[int],
) -> MicroBatch:
    index = [
        start + len(sequence.prompt) - 1 + offset
        for sequence, start in zip(sequences, starts, strict=True)
        for offset in range(len(sequence.completion))
    ]

    def per_token(values: Many[float]) -> Tensor:
        spread = [v for s, v in zip(sequences, values, strict=True) for _ in s.completion]
        return torch.tensor(spread, dtype=torch.float32)

    return MicroBatch(
        input_ids=torch.tensor(ids),
        position_ids=torch.tensor(positions),
        index=torch.tensor(index, dtype=torch.int64),
        targets=torch.tensor([t for s in sequences for t in s.completion], dtype=torch.int64),
        behaviour_logprobs=torch.tensor([x for s in sequences for x in s.behaviour_logprobs]),
        advantages=per_token([s.advantage for s in sequences]),
        weights=per_token([s.weight for s in sequences]),
        sequence=per_token(range(len(sequences))).long(),
    )
