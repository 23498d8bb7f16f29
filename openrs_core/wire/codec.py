"""Messages <-> bytes: msgpack, a schema version and a kind, checked once, where it comes in.

`encode` then `decode` gives an equal message (float32 arrays hold float32 values; a lone surrogate,
which UTF-8 cannot write, becomes `?`). Whatever is not a whole, well-typed message raises
DecodeError, before it has cost much more memory than its bytes; nothing is ever unpickled.
"""

import reprlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgpack
from pydantic import TypeAdapter, ValidationError

from openrs_core.errors import DecodeError
from openrs_core.wire.fields import MAX_CHUNKS
from openrs_core.wire.messages import (
    Message,
    Prompt,
    RolloutGroup,
    ScoredGroup,
    WeightsManifest,
    WeightsTaken,
)

SCHEMA = 6

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""A group of 64 completions of 32,768 tokens is 17 MB; four times that is no message of ours."""

MAX_ELEMENTS = 2**20
"""Of all arrays and maps of one message, nested ones too: an array is packed bytes, so 1024
completions and their scores have some 50,000."""

MAX_REASON = 500
"""Characters of what is said about a fault."""

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
    packed: bytes = msgpack.packb(
        {"schema": SCHEMA, "kind": _NAMES[kind], "body": body}, unicode_errors="replace"
    )
    return packed


def decode(data: bytes, expected: type[M]) -> M:
    """The message in `data`.

    Raises:
        DecodeError: it is too large, no msgpack, of another schema or kind, or ill-typed.
    """
    envelope = unpack(data)
    if envelope.get("schema") != SCHEMA:
        raise DecodeError(
            f"schema is {_shown(envelope.get('schema'))}, this program reads {SCHEMA}"
        )
    if envelope.get("kind") != _NAMES[expected]:
        raise DecodeError(f"kind is {_shown(envelope.get('kind'))}, expected {_NAMES[expected]!r}")
    try:
        message: M = _ADAPTERS[expected].validate_python(envelope.get("body"))
    except (ValidationError, ValueError) as error:
        raise DecodeError(f"{_NAMES[expected]}: {_first_fault(error)}") from error
    return message


def unpack(data: bytes) -> dict[Any, Any]:
    """The msgpack map in `data`, unchecked but for what reading it may cost.

    Raises:
        DecodeError: it is too large, nested too deep, of too many elements, or no msgpack map.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise DecodeError(f"{len(data)} bytes, the most allowed is {MAX_MESSAGE_BYTES}")
    counted = _counter()
    try:
        envelope = msgpack.unpackb(
            data, use_list=False, list_hook=counted, object_hook=counted, ext_hook=_no_extension,
            max_array_len=MAX_CHUNKS, max_map_len=MAX_CHUNKS,
        )  # fmt: skip
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"not msgpack: {str(error)[:MAX_REASON]}") from error
    if not isinstance(envelope, dict):
        raise DecodeError(f"envelope is a {type(envelope).__name__}, expected a map")
    return envelope


def _counter() -> Callable[[Any], Any]:
    """Lets arrays and maps pass until there are too many elements in them."""
    elements = 0

    def count(found: Any) -> Any:
        nonlocal elements
        elements += len(found) + 1
        if elements > MAX_ELEMENTS:
            raise ValueError(f"more than {MAX_ELEMENTS} elements")
        return found

    return count


def _no_extension(code: int, _: bytes) -> None:
    raise ValueError(f"extension type {code}")


def _shown(value: Any) -> str:
    """A value of unknown origin, short and on one line."""
    plain = isinstance(value, str | int | float)
    return reprlib.repr(value) if plain else f"a {type(value).__name__}"


def _first_fault(error: ValidationError | ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)[:MAX_REASON]
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(_shown(part).strip("'") for part in fault["loc"])
    return f"{where}: {fault['msg']}"[:MAX_REASON]
