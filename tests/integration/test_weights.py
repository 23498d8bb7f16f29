"""The weight channel: whole policies or nothing, never older than the one in force."""

import pytest

from openrs_core.errors import WeightsError
from openrs_core.keys import Keys
from openrs_core.weights import Publisher, Receiver, Snapshot, channel

pytestmark = pytest.mark.redis


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks without megabytes."""
    monkeypatch.setattr(channel, "CHUNK_BYTES", 10)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 95])
def test_what_is_taken_equals_what_was_published(client, run_id, size):
    data = bytes(range(size))
    Publisher(client, run_id).publish(Snapshot(1, 0, data))
    receiver = Receiver(client, run_id)
    taken = receiver.fetch(receiver.newer())
    assert (taken.incarnation, taken.version, bytes(taken.data)) == (1, 0, data)
    assert receiver.newer() is None


def test_nothing_is_visible_before_the_manifest(client, run_id):
    """Chunks without their manifest are no version."""
    client.xadd(Keys(run_id).chunks(1, 0), {"chunk": b"half"})
    assert Receiver(client, run_id).newer() is None


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("fault", ["lost", "altered", "doubled", "reordered"])
def test_a_damaged_snapshot_is_refused(client, run_id, fault):
    publisher, receiver = Publisher(client, run_id), Receiver(client, run_id)
    publisher.publish(Snapshot(1, 1, bytes(range(35))))
    key = Keys(run_id).chunks(1, 1)
    chunks = [fields[b"chunk"] for _, fields in client.xrange(key)]
    damaged = {
        "lost": chunks[:-1],
        "altered": [chunks[0], b"0123456789", *chunks[2:]],
        "doubled": [chunks[0], *chunks],
        "reordered": [chunks[1], chunks[0], *chunks[2:]],
    }[fault]
    client.delete(key)
    for chunk in damaged:
        client.xadd(key, {"chunk": chunk})
    with pytest.raises(WeightsError):
        receiver.fetch(receiver.newer())
    assert receiver.in_force is None


def test_a_slow_sampler_skips_to_the_newest(client, run_id):
    publisher, receiver = Publisher(client, run_id), Receiver(client, run_id)
    for version in range(5):
        publisher.publish(Snapshot(1, version, bytes([version])))
    assert receiver.fetch(receiver.newer()).version == 4


def test_superseded_versions_are_removed(client, run_id):
    """What Redis holds does not grow with the number of versions."""
    publisher = Publisher(client, run_id)
    for version in range(5):
        publisher.publish(Snapshot(1, version, b"weights"))
    kept = client.keys(f"{Keys(run_id).manifests}:*")
    assert sorted(kept) == [Keys(run_id).chunks(1, v).encode() for v in (3, 4)]


def test_an_older_version_is_never_taken(client, run_id):
    publisher, receiver = Publisher(client, run_id), Receiver(client, run_id)
    publisher.publish(Snapshot(2, 5, b"new"))
    receiver.fetch(receiver.newer())
    publisher.publish(Snapshot(2, 4, b"old"))
    publisher.publish(Snapshot(1, 9, b"of an earlier life"))
    assert receiver.newer() is None


def test_a_new_life_may_go_back_to_its_checkpoint(client, run_id):
    """Versions start again from the checkpoint; the higher incarnation says they are newer."""
    publisher, receiver = Publisher(client, run_id), Receiver(client, run_id)
    publisher.publish(Snapshot(1, 9, b"lost"))
    receiver.fetch(receiver.newer())
    publisher.publish(Snapshot(2, 5, b"resumed"))
    assert receiver.fetch(receiver.newer()).version == 5
