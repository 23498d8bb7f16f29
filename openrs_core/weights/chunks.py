"""Bytes through Redis: cut into chunks, one stream for each payload, a checksum for each chunk."""

from collections.abc import Iterator, Sequence

import numpy as np
import redis
from blake3 import blake3
from numpy.typing import NDArray

from openrs_core.errors import SupersededError, WeightsError

CHUNK_BYTES = 4 * 1024 * 1024 - 4096
"""Redis' allocator rounds an exact power of two up by a quarter, and larger values are slower."""

FIELD = "chunk"

# KEYS: stream.  ARGV: how many chunks are there before this one, the chunk.
# So a chunk whose answer was lost, and that is therefore sent again, is in the stream once.
_APPEND = f"""
if redis.call('XLEN', KEYS[1]) == tonumber(ARGV[1]) then
  redis.call('XADD', KEYS[1], '*', '{FIELD}', ARGV[2])
end
return 1
"""


def send(client: redis.Redis, key: str, body: memoryview) -> tuple[str, ...]:
    """Append the chunks of `body` to a new stream; their checksums.

    Raises:
        redis.RedisError: the connection was lost, or Redis is full.
    """
    client.delete(key)  # a life that died while publishing may have left some
    return tuple(_send(client, key, body))


def _send(client: redis.Redis, key: str, body: memoryview) -> Iterator[str]:
    append = client.register_script(_APPEND)
    for number, start in enumerate(range(0, len(body), CHUNK_BYTES)):
        chunk = bytes(body[start : start + CHUNK_BYTES])
        append(keys=[key], args=[number, chunk])
        yield blake3(chunk).hexdigest()


def fetch(client: redis.Redis, key: str, checksums: Sequence[str], size: int) -> NDArray[np.uint8]:
    """The body whose chunks have these checksums, in this order.

    Raises:
        SupersededError: there are none, or none any more.
        WeightsError: a chunk is missing, altered, doubled or out of order.
        redis.RedisError: the connection was lost.
    """
    found = client.xlen(key)
    if found != len(checksums):
        error = WeightsError if found else SupersededError
        raise error(f"{found} chunks of {len(checksums)} are there")
    if size > len(checksums) * CHUNK_BYTES:
        raise WeightsError(f"{size} bytes cannot be in {len(checksums)} chunks")
    body, filled, last = np.empty(size, np.uint8), 0, "-"
    for number, checksum in enumerate(checksums):
        entries = client.xrange(key, min=last, count=1)
        if not entries:
            raise SupersededError(f"chunk {number} is there no more")
        entry_id, fields = entries[0]
        chunk = fields.get(FIELD.encode(), b"")
        if blake3(chunk).hexdigest() != checksum or filled + len(chunk) > size:
            raise WeightsError(f"chunk {number} was altered or is out of order")
        body[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled, last = filled + len(chunk), f"({entry_id.decode()}"
    if filled != size:
        raise WeightsError(f"{filled} bytes of {size} are there")
    return body
