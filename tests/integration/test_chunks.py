"""Bytes through Redis: what is fetched is what was sent, or it is refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrs_core.errors import SupersededError, WeightsError
from openrs_core.weights import chunks

pytestmark = pytest.mark.redis

KEY = "openrs:test:weights:1:1"
CHUNK = 16

often = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
bodies = st.binary(min_size=2 * CHUNK + 1, max_size=8 * CHUNK)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", CHUNK)


@often
@given(st.binary(max_size=8 * CHUNK))
def test_what_is_fetched_is_what_was_sent(client, body):
    checksums = chunks.send(client, KEY, memoryview(body))
    assert chunks.fetch(client, KEY, checksums, len(body)).tobytes() == body
    assert client.xlen(KEY) == len(checksums) == -(-len(body) // CHUNK)


def flipped(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    at = data.draw(st.integers(0, len(parts) - 1))
    place = data.draw(st.integers(0, len(parts[at]) - 1))
    altered = bytearray(parts[at])
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    return [*parts[:at], bytes(altered), *parts[at + 1 :]]


def lost(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    at = data.draw(st.integers(0, len(parts) - 1))
    return [*parts[:at], *parts[at + 1 :]]


def doubled(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    at, to = (data.draw(st.integers(0, len(parts) - 1)) for _ in range(2))
    return [*parts[:to], parts[at], *parts[to:]]


def reordered(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    return list(data.draw(st.permutations(parts)))


def cut(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    at = data.draw(st.integers(0, len(parts) - 1))
    return [
        *parts[:at],
        parts[at][: data.draw(st.integers(0, len(parts[at]) - 1))],
        *parts[at + 1 :],
    ]


@pytest.mark.parametrize("fault", [flipped, lost, doubled, reordered, cut])
@often
@given(data=st.data(), body=bodies)
def test_every_damage_is_detected(client: Any, fault: Any, data: st.DataObject, body: bytes):
    """One that changes nothing, as swapping two equal chunks, is none."""
    checksums = chunks.send(client, KEY, memoryview(body))
    parts = [fields[b"chunk"] for _, fields in client.xrange(KEY)]
    damaged = fault(parts, data)
    client.delete(KEY)
    for part in damaged:
        client.xadd(KEY, {"chunk": part})
    if damaged == parts:
        assert chunks.fetch(client, KEY, checksums, len(body)).tobytes() == body
        return
    with pytest.raises(WeightsError):
        chunks.fetch(client, KEY, checksums, len(body))


def test_what_is_gone_is_told_apart_from_what_is_damaged(client):
    checksums = chunks.send(client, KEY, memoryview(bytes(3 * CHUNK)))
    client.delete(KEY)
    with pytest.raises(SupersededError):
        chunks.fetch(client, KEY, checksums, 3 * CHUNK)


def test_no_memory_is_taken_on_the_word_of_a_manifest(client):
    checksums = chunks.send(client, KEY, memoryview(bytes(3 * CHUNK)))
    with pytest.raises(WeightsError, match="cannot be in 3 chunks"):
        chunks.fetch(client, KEY, checksums, 10**15)
