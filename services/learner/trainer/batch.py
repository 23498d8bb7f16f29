"""Sequences with a weight per token -> micro-batches of tensors.

The weights are fixed for the whole batch before it is cut (see `algorithm.aggregation`), so every
cut into micro-batches, every packing and any number of ranks give the same gradient.

    padded   p1 a1 a1 .. .. | p1 a2 a2 a2 .. | p2 p2 b1 b1 b1     a sequence to a row
    packed   p1 a1 a1 p1 a2 a2 a2 p2 p2 b1 b1 b1                  one behind another
    shared   p1 a1 a1 a2 a2 a2 | p2 p2 b1 b1 b1 ..                a prompt to a row, computed once

A completion in a shared row sees its prompt and itself: it has the positions that it would have
behind the prompt alone, and a mask hides the others from it.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any, Literal

import torch
from torch import Tensor

from services.learner.step import Sequence

Packing = Literal["padded", "packed", "shared"]


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
    parts: Tensor | None = (
        None  # [R, L] int64, of shared rows: 0 in the prompt, n in completion n, -1 past the end
    )

    @property
    def mask(self) -> Tensor | None:
        """What each token sees in shared rows, [R, 1, L, L]; None: all before it."""
        if self.parts is None:
            return None
        seen, seeing = self.parts[:, None, :], self.parts[:, :, None]
        return ((seen == 0) | (seen == seeing)).tril().unsqueeze(1)

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

    Longest first, so that rows of a micro-batch are of like length. A rank without work of its own
    gets an empty micro-batch.
    """
    micro_batches: list[list[Sequence]] = []
    for sequence in _ordered(sequences, packing):
        if not micro_batches or _computed([*micro_batches[-1], sequence], packing) > budget:
            micro_batches.append([])
        micro_batches[-1].append(sequence)
    micro_batches += [[] for _ in range(-len(micro_batches) % ranks)]
    return [micro_batches[rank::ranks] for rank in range(ranks)]


def _ordered(sequences: Many[Sequence], packing: Packing) -> list[Sequence]:
    """Those of a prompt one after another, where they share it."""
    if packing != "shared":
        return sorted(sequences, key=lambda sequence: sequence.length, reverse=True)
    lengths = _row_lengths(sequences)
    return sorted(sequences, key=lambda s: (lengths[s.prompt], s.prompt), reverse=True)


def _computed(sequences: Many[Sequence], packing: Packing) -> int:
    """Tokens that go through the model, padding included."""
    if packing == "packed":
        return sum(sequence.length for sequence in sequences)
    if packing == "shared":
        lengths = _row_lengths(sequences)
        return max(lengths.values()) * len(lengths)
    return max(sequence.length for sequence in sequences) * len(sequences)


def _row_lengths(sequences: Many[Sequence]) -> dict[tuple[int, ...], int]:
    """Of each prompt: how long it is with all its completions."""
    lengths: dict[tuple[int, ...], int] = {}
    for sequence in sequences:
        before = lengths.get(sequence.prompt, len(sequence.prompt))
        lengths[sequence.prompt] = before + len(sequence.completion)
    return lengths


def assemble(sequences: Many[Sequence], packing: Packing, pad: int) -> MicroBatch:
    """Tensors of one micro-batch; an empty one is a single padding token with nothing scored.

    Rows are padded on the right, where causal attention of no real token looks, and nothing is
    scored. So no mask is needed, and none is made: with one, attention would run without the
    kernels that know no more than "causal". Positions go on over the padding, as transformers
    takes positions that restart for several sequences in one row, and builds a mask then.
    """
    if not sequences:
        return _tensors([_Row([pad], [0])], [], [], pad)
    if packing == "shared":
        return _shared(sequences, pad)
    rows = [_Row(list(s.prompt + s.completion), list(range(s.length))) for s in sequences]
    width = max(len(row.ids) for row in rows)
    starts = [number * width for number in range(len(rows))]
    if packing == "packed":
        starts = [0, *accumulate(len(row.ids) for row in rows[:-1])]
        rows = [
            _Row([t for row in rows for t in row.ids], [p for row in rows for p in row.positions])
        ]
    before = [
        range(start + len(sequence.prompt) - 1, start + sequence.length - 1)
        for start, sequence in zip(starts, sequences, strict=True)
    ]
    return _tensors(rows, before, sequences, pad)


@dataclass(frozen=True, slots=True)
class _Row:
    """Tokens, the position of each, and which part of a shared row it is of."""

    ids: list[int]
    positions: list[int]
    parts: list[int] = field(default_factory=list)

    def add(self, sequence: Sequence) -> list[int]:
        """Put a completion behind its prompt and others; the places that predict its tokens."""
        prompt, start = len(sequence.prompt), len(self.ids)
        self.parts.extend([max(self.parts) + 1] * len(sequence.completion))
        self.positions.extend(range(prompt, sequence.length))
        self.ids.extend(sequence.completion)
        return [prompt - 1, *range(start, len(self.ids) - 1)]


def _shared(sequences: Many[Sequence], pad: int) -> MicroBatch:
    """Each prompt once, its completions behind it."""
    rows: dict[tuple[int, ...], _Row] = {}
    for prompt in (sequence.prompt for sequence in sequences):
        rows.setdefault(prompt, _Row(list(prompt), list(range(len(prompt))), [0] * len(prompt)))
    places = [rows[sequence.prompt].add(sequence) for sequence in sequences]
    width = max(len(row.ids) for row in rows.values())
    starts = {prompt: number * width for number, prompt in enumerate(rows)}
    before = [
        [starts[sequence.prompt] + place for place in found]
        for sequence, found in zip(sequences, places, strict=True)
    ]
    return _tensors(list(rows.values()), before, sequences, pad)


def _tensors(
    rows: Many[_Row], before: Many[Many[int]], sequences: Many[Sequence], pad: int
) -> MicroBatch:
    """`before`: for each sequence the places that predict its tokens, in the flattened rows."""

    def per_token(values: Many[float]) -> Tensor:
        spread = [v for s, v in zip(sequences, values, strict=True) for _ in s.completion]
        return torch.tensor(spread, dtype=torch.float32)

    width = max(len(row.ids) for row in rows)
    return MicroBatch(
        input_ids=torch.tensor([row.ids + [pad] * (width - len(row.ids)) for row in rows]),
        position_ids=torch.tensor(
            [row.positions + list(range(len(row.ids), width)) for row in rows]
        ),
        index=torch.tensor(list(chain.from_iterable(before)), dtype=torch.int64),
        targets=torch.tensor([t for s in sequences for t in s.completion], dtype=torch.int64),
        behaviour_logprobs=torch.tensor([x for s in sequences for x in s.behaviour_logprobs]),
        advantages=per_token([s.advantage for s in sequences]),
        weights=per_token([s.weight for s in sequences]),
        sequence=per_token(range(len(sequences))).long(),
        parts=_parts(rows, width),
    )


def _parts(rows: Many[_Row], width: int) -> Tensor | None:
    """Of shared rows; what fills one up is of no part, and sees the prompt and itself."""
    if not rows[0].parts:
        return None
    return torch.tensor([row.parts + [-1] * (width - len(row.parts)) for row in rows])
