"""Scored groups on disk, as they came off the wire: what an evaluation or a curation goes on from.

A file of one frame after another: 4 bytes of length, 4 of CRC-32 (little-endian), then the encoded
group, packed with zstd. A frame that was not finished is cut off when the file is opened again; its
group was not acknowledged, so Redis still has it. A group that is there twice counts as the later.
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
_UNPACKER = zstandard.ZstdDecompressor()


class Journal:
    """Groups that are to be kept: add some, `sync`, then they may be acknowledged."""

    def __init__(self, path: Path) -> None:
        """Opened at the end of what is whole.

        Raises:
            OSError: it cannot be written.
            RunError: a whole frame is no group: the file was altered, or is of another openrs.
        """
        self._path = path
        self._packer = zstandard.ZstdCompressor(_LEVEL)
        self._places: dict[str, int] = {}
        self._end = 0
        for place, frame in _frames(path):
            self._places[_name(_group(path, place, frame))] = place
            self._end = place + _HEAD.size + len(frame)
        self._file = path.open("ab")
        self._file.truncate(self._end)

    def __contains__(self, group_id: str) -> bool:
        return group_id in self._places

    def __iter__(self) -> Iterator[ScoredGroup]:
        """All groups, in the order in which they came."""
        return map(self.group, self._places)

    def group(self, group_id: str) -> ScoredGroup:
        """A group that is kept, from the disk.

        Raises:
            KeyError: it is not.
        """
        self._file.flush()
        with self._path.open("rb") as file:
            file.seek(place := self._places[group_id])
            length, _ = _HEAD.unpack(file.read(_HEAD.size))
            return _group(self._path, place, file.read(length))

    def add(self, group: ScoredGroup) -> None:
        """Append a group."""
        frame = self._packer.compress(encode(group))
        self._file.write(_HEAD.pack(len(frame), zlib.crc32(frame)) + frame)
        self._places[_name(group)] = self._end
        self._end += _HEAD.size + len(frame)

    def sync(self) -> None:
        """What was added survives a power cut when this returns.

        Raises:
            OSError: it could not be written.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            error.filename = error.filename or str(self._path)  # a failed write does not say
            raise

    def close(self) -> None:
        """No more is added."""
        self._file.close()


def _group(path: Path, place: int, frame: bytes) -> ScoredGroup:
    try:
        return decode(_UNPACKER.decompress(frame), ScoredGroup)
    except (DecodeError, zstandard.ZstdError) as error:
        raise RunError(
            f"journal {path}: the group at byte {place} cannot be read ({error}); it is of another "
            "openrs or was altered: remove the file to begin anew"
        ) from error


def _name(group: ScoredGroup) -> str:
    return group.rollout.prompt.group_id


def _frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """What is whole, with its place, up to the first frame that is not."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            frame = file.read(length)
            if len(frame) < length or zlib.crc32(frame) != checksum:
                return
            yield file.tell() - length - _HEAD.size, frame
