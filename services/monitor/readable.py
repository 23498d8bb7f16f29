"""Bytes of unknown origin, for people: as JSON where they are msgpack, else as a dump."""

import json
from typing import Any

import numpy as np

from openrs_core.errors import DecodeError
from openrs_core.wire.codec import unpack

DUMPED_BYTES = 512
"""How much of a body that cannot be read is shown."""

_ARRAYS = {"token_ids": "<i4", "behaviour_logprobs": "<f4"}
"""Fields that travel as packed arrays."""


def readable(body: bytes) -> str | None:
    """A message as indented JSON, packed arrays as numbers; None when it is no msgpack map."""
    try:
        return json.dumps(_plain_value("", unpack(body)), indent=2)
    except (DecodeError, RecursionError):
        return None


def hex_dump(body: bytes) -> str:
    """The first bytes, 16 a line, with what of them is ASCII."""
    lines = [
        f"{at:06x}  {body[at : at + 16].hex(' '):<47}  {_ascii(body[at : at + 16])}"
        for at in range(0, min(len(body), DUMPED_BYTES), 16)
    ]
    more = len(body) - DUMPED_BYTES
    return "\n".join([*lines, f"and {more} more bytes"] if more > 0 else lines or ["no bytes"])


def plain(text: str) -> str:
    """On one line, without characters that could steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _ascii(part: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)


def _plain_value(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain_value(str(key), inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain_value(name, inner) for inner in value]
    return _array_or_hex(name, value) if isinstance(value, bytes) else value


def _array_or_hex(name: str, value: bytes) -> Any:
    if name in _ARRAYS and len(value) % 4 == 0:
        return np.frombuffer(value, _ARRAYS[name]).tolist()
    return value.hex()
