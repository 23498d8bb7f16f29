"""What a field of a message may hold, and how arrays travel.

Every bound is far beyond honest use and far below what could exhaust a process. Leaves are strict:
a number that arrives as text, or text as bytes, is refused.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PlainSerializer, PlainValidator

MAX_TOKENS = 2**20
"""Of one prompt or one completion."""

MAX_GROUP_SIZE = 1024
"""Completions of one prompt."""

MAX_POLICIES = 4096
"""Times a policy may change while one completion is sampled."""

MAX_COMPONENTS = 32
"""Named rewards of one score."""

MAX_CHUNKS = 2**14
"""Of one payload of weights: 64 GiB in chunks of 4 MiB."""

MAX_REWARD = 1e6
"""Of a reward and of each component, either way."""

MAX_ID, MAX_NAME, MAX_FAILURE = 200, 1000, 10_000
"""Characters of an id, of a name that people or data sets give, and of an explanation."""

MAX_ANSWER, MAX_PROBLEM, MAX_TEXT = 2**16, 2**20, 2**24
"""Characters of a reference answer, of a problem, and of a completion: 16 for each of MAX_TOKENS
tokens."""


def _packed(dtype: Literal["<i4", "<f4"]) -> tuple[PlainValidator, PlainSerializer]:
    """Wire form of an int32 or float32 array: little-endian bytes, 4 per value.

    Checked as a whole, so that a million wrong values are one fault.
    """

    def unpack(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, bytes):
            raise ValueError(f"{type(value).__name__} in place of packed bytes")
        if len(value) > 4 * MAX_TOKENS:
            raise ValueError(f"{len(value)} bytes, the most allowed is {4 * MAX_TOKENS}")
        values = np.frombuffer(value, dtype)  # ValueError when the length is no multiple of 4
        fits = values >= 0 if dtype == "<i4" else np.isfinite(values) & (values <= 0)
        if not fits.all():
            raise ValueError(f"{values[~fits][0]} at {fits.argmin()} cannot be")
        return tuple(values.tolist())

    def pack(values: tuple[Any, ...]) -> bytes:
        return np.array(values, dtype).tobytes()

    return PlainValidator(unpack), PlainSerializer(pack)


TokenIds = Annotated[tuple[int, ...], *_packed("<i4")]
"""Each from 0 to 2**31 - 1, at most MAX_TOKENS of them."""

Logprobs = Annotated[tuple[float, ...], *_packed("<f4")]
"""Each finite and not above 0, at most MAX_TOKENS of them."""

Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
"""Below what a float64, and so JSON, can count."""

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Reward = Annotated[float, Field(strict=True, ge=-MAX_REWARD, le=MAX_REWARD, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Id = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_ID)]
Name = Annotated[str, Field(strict=True, max_length=MAX_NAME)]
Digest = Annotated[str, Field(strict=True, max_length=MAX_ID)]
