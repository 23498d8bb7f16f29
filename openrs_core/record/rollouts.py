"""Scored groups on disk, as they came off the wire: what an evaluation or a curation goes on from.

A file of one frame after another: 4 bytes of length, 4 of CRC-32 (little-endian), then the encoded
group, packed with zstd. A frame that was not finished is cut off when the file is opened again; its
group was not acknowledged, so Redis still has it.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from openrs_core.errors import DecodeError, RunError
from openrs_core.wire.codec import decode, encode
from openrs_core.wire.messages import ScoredGroup

_HEAD = struct.Struct("<II")
_LEVEL = 3


class Journal:
    """Groups that are to be kept: add some, `sync`, then they may be acknowledged."""

    def __init__(self, path: Path) -> None:
        """Opened at the end of what is whole.

        Raises:
            OSError: it cannot be written.
        """
        self._path = path
        self._packer = zstandard.ZstdCompressor(_LEVEL)
        whole = sum(_HEAD.size + len(frame) for frame in _frames(path))
        self._file = path.open("ab")
        self._file.truncate(whole)

    def add(self, group: ScoredGroup) -> None:
        """Append a group."""
        frame = self._packer.compress(encode(group))
        self._file.write(_HEAD.pack(len(frame), zlib.crc32(frame)) + frame)

    def sync(self) -> None:
        """What was added survives a power cut when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more is added."""
        self._file.close()


def read_groups(path: Path) -> Iterator[ScoredGroup]:
    """The groups of a journal, in the order in which they came; none where there is no file.

    Raises:
        RunError: a whole frame is no group: the file was altered, or is of another openrs.
    """
    unpacker = zstandard.ZstdDecompressor()
    for number, frame in enumerate(_frames(path), start=1):
        try:
            yield decode(unpacker.decompress(frame), ScoredGroup)
        except (DecodeError, zstandard.ZstdError) as error:
            raise RunError(
                f"journal {path}: group {number} cannot be read ({error}); it is of another openrs "
                "or was altered: remove the file to begin anew"
            ) from error


def _frames(path: Path) -> Iterator[bytes]:
    """What is whole, up to the first frame that is not."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            frame = file.read(length)
            if len(frame) < length or zlib.crc32(frame) != checksum:
                return
            yield frame
