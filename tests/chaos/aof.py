"""Redis' append-only file, read as what it is: every write of a run, in order."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

Command = list[bytes]

DIRECTORY = "appendonlydir"


def keep(source: Path, target: Path) -> None:
    """Link the files of a running server to where nobody removes them; call it now and then."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.aof"):
        if not (target / path.name).exists():
            os.link(path, target / path.name)


def commands(directory: Path) -> Iterator[Command]:
    """Every command that was written, oldest first; a torn one at the end is left out."""
    files = directory.glob("*.incr.aof")
    for path in sorted(files, key=lambda path: int(re.findall(r"\.(\d+)\.incr", path.name)[0])):
        data, at = memoryview(path.read_bytes()), 0
        while at < len(data):
            command, at = _command(data, at)
            if command is None:
                break
            yield command


def _command(data: memoryview, at: int) -> tuple[Command | None, int]:
    if data[at] == ord("#"):  # an annotation, until the end of the line
        return [], _line(data, at)[1]
    words, (head, at) = [], _line(data, at)
    for _ in range(int(head[1:] or b"0")):
        size, at = _line(data, at)
        end = at + int(size[1:] or b"0")
        if end + 2 > len(data):
            return None, at
        words.append(bytes(data[at:end]))
        at = end + 2
    return words, at


def _line(data: memoryview, at: int) -> tuple[bytes, int]:
    text = bytes(data[at : at + 100])
    end = text.find(b"\r\n")
    return (text[:end], at + end + 2) if end >= 0 else (b"", len(data))
