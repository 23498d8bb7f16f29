"""Messages <-> bytes: msgpack, a schema version and a kind, checked once at the border.

`encode` then `decode` gives an equal message (float32 arrays hold float32 values). Whatever is
not a whole, well-typed message raises DecodeError; nothing is ever unpickled.
"""

from typing import Any, TypeVar

import msgpack
from pydantic import TypeAdapter, ValidationError

from openrs_core.errors import DecodeError
from openrs_core.messages import (
    Message,
    Prompt,
    RolloutGroup,
    ScoredGroup,
    WeightsManifest,
    WeightsTaken,
)

SCHEMA = 3

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""A group of 64 completions of 32,768 tokens is 17 MB; four times that is no message of ours."""

_KINDS: dict[str, type[Message]] = {
    "prompt": Prompt,
    "rollout_group": RolloutGroup,
    "scored_group": ScoredGroup,
    "weights_manifest": WeightsManifest,
    "weights_taken": WeightsTaken,
}
_NAMES: dict[Any, str] = {kind: name for name, kind in _KINDS.items()}
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _KINDS.values()}

M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """The wire form of a message."""
    kind = type(message)
    body = _ADAPTERS[kind].dump_python(message)
    packed: bytes = msgpack.packb({"schema": SCHEMA, "kind": _NAMES[kind], "body": body})
    return packed


def decode(data: bytes, expected: type[M]) -> M:
    """The message in `data`.

    Raises:
        DecodeError: it is too large, no msgpack, of another schema or kind, or ill-typed.
    """
    envelope = _unpack(data)
    if envelope.get("schema") != SCHEMA:
        raise DecodeError(f"schema is {envelope.get('schema')!r}, this program reads {SCHEMA}")
    if envelope.get("kind") != _NAMES[expected]:
        raise DecodeError(f"kind is {envelope.get('kind')!r}, expected {_NAMES[expected]!r}")
    try:
        message: M = _ADAPTERS[expected].validate_python(envelope.get("body"))
    except (ValidationError, ValueError) as error:
        raise DecodeError(f"{_NAMES[expected]}: {_first_fault(error)}") from error
    return message


def _unpack(data: bytes) -> dict[Any, Any]:
    if len(data) > MAX_MESSAGE_BYTES:
        raise DecodeError(f"{len(data)} bytes, the most allowed is {MAX_MESSAGE_BYTES}")
    try:
        envelope = msgpack.unpackb(data, use_list=False)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"not msgpack: {error}") from error
    if not isinstance(envelope, dict):
        raise DecodeError(f"envelope is a {type(envelope).__name__}, expected a map")
    return envelope


def _first_fault(error: ValidationError | ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
