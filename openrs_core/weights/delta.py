"""A change <-> bytes.

For each section: how many values change in each block of 65,536 words, the gaps between their
positions (the low 16 bits of each position less those of the one before, so 16 bits do for any
distance), and the new words. Gaps and words are laid out by byte, all low bytes first: bytes of
one kind stand together and zstd finds more in them. Tensors sent whole follow, uncompressed.

    head   msgpack: (width, values, bytes unpacked, bytes packed) of each section; the whole tensors
    body   the sections' zstd frames, then the whole tensors' words

Nothing here is trusted on the way back: what does not fit the layout raises WeightsError, and
whether the result is right is told by its digest (see `receiver`).
"""

from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import zstandard
from numpy.typing import NDArray

from openrs_core.errors import WeightsError
from openrs_core.weights.change import Change, Part
from openrs_core.weights.layout import SECTIONS, Layout, word

BLOCK = 1 << 16
"""Words of one block: positions inside fit 16 bits."""

LEVEL = 1
"""Of zstd; higher ones are slower and save nothing here."""

Bytes = bytes | memoryview


def encode(change: Change, layout: Layout) -> tuple[bytes, bytes]:
    """Head and body of a change."""
    sections, frames = [], []
    for width in SECTIONS:
        positions, values = _gather(change, layout, width)
        if len(positions) == 0:
            continue
        raw = _pack(positions, values, layout.lengths[width])
        frames.append(zstandard.ZstdCompressor(level=LEVEL).compress(raw))
        sections.append((width, len(positions), len(raw), len(frames[-1])))
    whole = [part for part in change.parts if part.positions is None]
    head: bytes = msgpack.packb((sections, [part.number for part in whole]))
    return head, b"".join([*frames, *(part.values.tobytes() for part in whole)])


def decode(head: bytes, body: Bytes, layout: Layout) -> Change:
    """The change in head and body.

    Raises:
        WeightsError: they are no change of a policy of this layout.
    """
    try:
        sections, whole = msgpack.unpackb(head, use_list=False)
        view, parts = memoryview(body), []
        for width, count, unpacked, packed in sections:
            frame, view = view[:packed], view[packed:]
            raw = _unpack(frame, width, count, unpacked, layout)
            parts += list(_split(*raw, layout, width))
        parts += list(_whole(whole, view, layout))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise WeightsError(f"no delta: {error}") from error
    except (msgpack.UnpackException, zstandard.ZstdError, MemoryError) as error:
        raise WeightsError(f"no delta: {error}") from error
    return Change(tuple(sorted(parts, key=lambda part: part.number)))


def _gather(change: Change, layout: Layout, width: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Positions within the section, ascending, and their words."""
    sparse = [
        (part.positions + layout.starts[part.number], part.values)
        for part in change.parts
        if part.positions is not None and layout.tensors[part.number].width == width
    ]
    if not sparse:
        return np.zeros(0, np.int64), np.zeros(0, word(width))
    return np.concatenate([p for p, _ in sparse]), np.concatenate([v for _, v in sparse])


def _pack(positions: NDArray[np.int64], values: NDArray[Any], length: int) -> bytes:
    low = positions.astype(np.uint16)
    gaps = low.copy()
    gaps[1:] -= low[:-1]  # modulo 2**16, on purpose: it undoes itself in `_unpack`
    counts = np.bincount(positions // BLOCK, minlength=_blocks(length)).astype("<u4")
    return counts.tobytes() + _planes(gaps.astype("<u2")) + _planes(values)


def _unpack(
    frame: Bytes, width: int, count: int, unpacked: int, layout: Layout
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    length = layout.lengths[width]
    head, gaps = 4 * _blocks(length), 2 * count
    if not 0 <= count <= length or unpacked != head + gaps + width * count:
        raise WeightsError(f"no delta: {count} values in {unpacked} bytes for {length} words")
    if zstandard.frame_content_size(frame) != unpacked:  # before anything of it is unpacked
        raise WeightsError(f"no delta: {unpacked} bytes were announced, the frame says otherwise")
    raw = zstandard.ZstdDecompressor().decompress(frame)
    counts = np.frombuffer(raw, "<u4", _blocks(length))
    if int(counts.sum()) != count:
        raise WeightsError("no delta: blocks and values disagree")
    low = np.cumsum(_words(raw[head : head + gaps], 2), dtype=np.uint16)
    positions = np.repeat(np.arange(len(counts), dtype=np.int64) * BLOCK, counts) + low
    if count and (positions[-1] >= length or np.any(positions[1:] <= positions[:-1])):
        raise WeightsError("no delta: positions out of order, or beyond the end")
    return positions, _words(raw[head + gaps :], width)


def _split(
    positions: NDArray[np.int64], values: NDArray[Any], layout: Layout, width: int
) -> Iterator[Part]:
    """Cut a section into its tensors."""
    numbers = [n for n, tensor in enumerate(layout.tensors) if tensor.width == width]
    starts = np.array([layout.starts[number] for number in numbers])
    cuts = [*np.searchsorted(positions, starts), len(positions)]
    for number, start, begin, end in zip(numbers, starts, cuts[:-1], cuts[1:], strict=True):
        if begin < end:
            yield Part(number, positions[begin:end] - start, values[begin:end])


def _whole(numbers: tuple[int, ...], view: memoryview, layout: Layout) -> Iterator[Part]:
    for number in numbers:
        if number < 0:
            raise WeightsError(f"no delta: tensor {number}")
        tensor = layout.tensors[number]
        size = tensor.width * tensor.size
        yield Part(number, None, np.frombuffer(view[:size], word(tensor.width), tensor.size))
        view = view[size:]
    if len(view):
        raise WeightsError(f"no delta: {len(view)} bytes too many")


def _blocks(length: int) -> int:
    return -(-length // BLOCK)


def _planes(values: NDArray[Any]) -> bytes:
    """The low bytes of all values, then the next, and so on."""
    return values.view(np.uint8).reshape(len(values), -1).T.tobytes()


def _words(planes: bytes, width: int) -> NDArray[Any]:
    """What `_planes` took apart."""
    by_value = np.frombuffer(planes, np.uint8).reshape(width, -1).T
    return np.ascontiguousarray(by_value).view(word(width)).reshape(-1)
