"""The weight channel on a real Redis: whole policies or nothing, never back, from any beginning."""

import threading
from contextlib import suppress

import pytest
import redis

from openrs_core.ledger import Policy
from openrs_core.ring.connection import Patience
from openrs_core.ring.keys import Keys
from openrs_core.weights import Snapshot, chunks
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import WeightsTaken
from tests.channel import LAYOUT, FakeLearner, FakeSampler, a_policy, manifests
from tests.conftest import wait_until

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Several chunks without megabytes."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5], ids="{:.1%}".format)
def test_every_version_arrives_bit_for_bit(start, share):
    learner, sampler = start[0](), start[1]()
    sampler.advance()
    for _ in range(5):
        learner.step(share)
        sampler.advance()
        assert (sampler.policy, sampler.weights.digest()) == (
            learner.policy, learner.weights.digest(),
        )  # fmt: skip
    assert sampler.forms == ["named", *(["snapshot" if share > 0.1 else "delta"] * 5)]


def test_the_base_model_is_not_sent(start, client, run_id):
    """Whoever has it needs only its name."""
    start[0]()
    sampler = start[1]()
    sampler.advance()
    assert (sampler.policy, sampler.forms) == (Policy(1, 0), ["named"])
    assert client.keys(f"{Keys(run_id).manifests}:*") == []


def test_a_sampler_with_another_base_is_given_a_snapshot(start):
    start[0]()
    sampler = start[1](base=a_policy(seed=9))
    wait_until(lambda: sampler.advance() or sampler.policy, "a snapshot")
    assert (sampler.policy, sampler.forms) == (Policy(1, 0), ["snapshot"])


def test_who_joins_late_takes_the_newest_snapshot_and_the_deltas_after_it(start):
    learner = start[0](every=4)
    for _ in range(6):
        learner.step()
    late = start[1](base=a_policy(seed=9))
    late.advance()
    assert (late.policy, late.forms) == (Policy(1, 6), ["snapshot", "delta", "delta"])


def test_who_joins_before_there_is_a_snapshot_is_given_one(start):
    """The learner may be waiting for groups meanwhile: it need not make a step for that."""
    learner = start[0]()
    learner.step()
    late = start[1](base=a_policy(seed=9))
    wait_until(lambda: late.advance() or late.policy, "a snapshot")
    assert late.policy == Policy(1, 1)
    assert late.weights.digest() == learner.weights.digest()


def test_a_sampler_that_stood_still_skips_to_the_newest(start):
    learner, sampler = start[0](every=4), start[1]()
    sampler.advance()
    for _ in range(11):
        learner.step()
    sampler.advance()
    assert sampler.policy == Policy(1, 11)
    assert sampler.forms[1] == "snapshot"


def test_what_redis_holds_does_not_grow(start, client, run_id):
    """Two snapshots at most, and deltas that weigh no more than one."""
    learner = start[0](every=4)
    for step in range(40):
        learner.step((0.01, 0.05, 0.3, 0.02)[step % 4])
        keys = client.keys(f"{Keys(run_id).manifests}:*")
        held = {int(key.decode().rpartition(":")[2]) for key in keys}
        forms = {m.payload: (m.form, m.size) for m in manifests(client, run_id)}
        sizes = {
            f: [s for n in held for g, s in [forms[n]] if g == f] for f in ("delta", "snapshot")
        }
        assert len(sizes["snapshot"]) <= 2
        assert sum(sizes["delta"]) <= LAYOUT.nbytes


def damage(client, key, how):
    parts = [fields[b"chunk"] for _, fields in client.xrange(key)]
    altered = bytes([parts[1][0] ^ 1]) + parts[1][1:]
    damaged = {
        "lost": parts[:-1],
        "flipped": [parts[0], altered, *parts[2:]],
        "cut": [*parts[:-1], parts[-1][:-1]],
        "doubled at the front": [parts[0], *parts],
        "doubled at the end": [*parts, parts[-1]],
        "reordered": [parts[1], parts[0], *parts[2:]],
        "gone": [],
    }[how]
    client.delete(key)
    for chunk in damaged:
        client.xadd(key, {"chunk": chunk})


FAULTS = [
    "lost", "flipped", "cut", "doubled at the front", "doubled at the end", "reordered", "gone",
]  # fmt: skip


@pytest.mark.parametrize("share", [0.05, 0.5], ids=["delta", "snapshot"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_payload_is_refused_and_a_snapshot_mends_it(start, client, run_id, share, fault):
    learner, sampler = start[0](), start[1]()
    sampler.advance()
    learner.publisher._store.is_wanted = lambda: False  # nobody answers yet
    learner.step(share)
    before = sampler.weights.digest()
    damage(client, Keys(run_id).chunks(1, 1), fault)
    for _ in range(3):
        sampler.advance()
    assert (sampler.policy, sampler.weights.digest()) == (Policy(1, 0), before)
    assert client.get(Keys(run_id).wanted) == b"sampler-0"
    del learner.publisher._store.is_wanted
    wait_until(lambda: sampler.advance() or sampler.policy == Policy(1, 1), "the snapshot")
    assert sampler.weights.digest() == learner.weights.digest()
    assert not client.exists(Keys(run_id).wanted)


def test_a_delta_that_leads_elsewhere_is_undone(start, client, run_id, monkeypatch):
    """All its chunks are as they were sent, and still it is not what its manifest says."""
    learner, sampler = start[0](), start[1]()
    sampler.advance()
    monkeypatch.setattr(Snapshot, "digest", lambda self: "what the learner thinks it is")
    learner.step()
    monkeypatch.undo()
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100)
    sampler.advance()
    assert sampler.policy == Policy(1, 0)
    assert sampler.receiver._copy.digest() == a_policy().digest()


class Mortal:
    """A client whose process dies at the n-th write."""

    def __init__(self, client, writes):
        self._client, self._left = client, writes

    def __getattr__(self, name):
        return getattr(self._client, name)

    def register_script(self, script):
        run = self._client.register_script(script)

        def write(**options):
            self._left -= 1
            if self._left < 0:
                raise redis.ConnectionError("the process died here")
            return run(**options)

        return write


@pytest.mark.parametrize("writes", range(1, 40))
def test_wherever_a_learner_dies_what_is_visible_is_whole(client, run_id, monkeypatch, writes):
    """A manifest stands for chunks that are all there, those of a snapshot too."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 4000)
    learner = FakeLearner(Mortal(client, writes), run_id, every=2)
    with suppress(redis.ConnectionError):
        for _ in range(4):
            learner.step(0.05)
    learner.publisher.close()
    visible = manifests(client, run_id)
    sampler, late = FakeSampler(client, run_id), FakeSampler(client, run_id, base=a_policy(9))
    for each in (sampler, late):
        each.advance()
        assert each.receiver._refused == set()
    assert sampler.policy.version == max(m.version for m in visible)
    if any(m.form == "snapshot" for m in visible):
        assert late.policy == sampler.policy


def test_a_failure_of_the_publishing_thread_reaches_the_learner(client, run_id):
    learner = FakeLearner(Mortal(client, 3), run_id)
    with pytest.raises(redis.ConnectionError, match="died here"):
        learner.step()
    with pytest.raises(redis.ConnectionError):
        _ = learner.publisher.published
    learner.publisher.close()


class Slow:
    """A client whose writes wait for a gate."""

    def __init__(self, client):
        self._client, self.gate = client, threading.Event()

    def __getattr__(self, name):
        return getattr(self._client, name)

    def register_script(self, script):
        run = self._client.register_script(script)

        def write(**options):
            assert self.gate.wait(30)
            return run(**options)

        return write


def test_publishing_returns_at_once_and_waits_only_for_the_version_before(client, run_id):
    slow = Slow(client)
    slow.gate.set()
    learner = FakeLearner(slow, run_id)
    slow.gate.clear()
    learner.step(wait=False)
    assert learner.publisher.published == Policy(1, 0)
    second = threading.Thread(target=lambda: learner.step(wait=False))
    second.start()
    second.join(0.2)
    assert second.is_alive(), "the channel is slower than the steps: the learner waits"
    slow.gate.set()
    second.join(30)
    learner.publisher.drain()
    assert learner.publisher.published == Policy(1, 2)
    learner.publisher.close()


def test_a_restarted_learner_is_followed_from_its_checkpoint(start):
    """Versions begin again at 2; the higher incarnation says that they are newer."""
    first, here, ahead = start[0](), start[1](name="here"), start[1](name="ahead")
    for sampler in (here, ahead):
        sampler.advance()
    first.step()
    first.step()
    here.advance()
    checkpoint = first.weights.copy()
    first.step()
    ahead.advance()
    second = start[0](incarnation=2, version=2, weights=checkpoint)
    here.advance()
    assert (here.policy, here.forms[-1]) == (Policy(2, 2), "named")
    wait_until(lambda: ahead.advance() or ahead.policy == Policy(2, 2), "a snapshot")
    second.step()
    for sampler in (here, ahead):
        sampler.advance()
        assert sampler.policy == Policy(2, 3)
        assert sampler.weights.digest() == second.weights.digest()


def test_a_learner_leaves_no_chunks_of_an_earlier_life(start, client, run_id):
    client.xadd(Keys(run_id).chunks(1, 7), {"chunk": b"torn"})
    start[0](incarnation=2)
    assert client.keys(f"{Keys(run_id).manifests}:*") == []


def test_a_manifest_that_is_none_is_refused_and_those_after_it_are_read(start, client, run_id):
    learner, sampler = start[0](), start[1]()
    client.xadd(Keys(run_id).manifests, {"body": b"noise"})
    client.xadd(Keys(run_id).manifests, {"something": b"else"})
    learner.step()
    sampler.advance()
    assert sampler.policy == Policy(1, 1)


def test_the_receiving_thread_brings_versions_while_the_loop_does_other_things(start):
    learner, sampler = start[0](), start[1]()
    sampler.receiver.start()
    sampler.take(seconds=10)
    learner.step()
    sampler.take(seconds=10)
    assert sampler.policy == Policy(1, 1)
    sampler.receiver.close()


def test_a_failure_of_the_receiving_thread_reaches_the_sampler(client, run_id):
    class Deaf:
        def get_retry(self):
            return Patience("nowhere", None)

        def xread(self, *_arguments, **_options):
            raise redis.ConnectionError("nobody answers")

    sampler = FakeSampler(Deaf(), run_id)
    sampler.receiver.start()
    with pytest.raises(redis.ConnectionError, match="nobody answers"):
        sampler.take(seconds=10)
    sampler.receiver.close()


def test_samplers_note_what_they_put_in_force(start, client, run_id):
    learner, sampler = start[0](), start[1](name="mine")
    learner.step()
    sampler.advance()
    notes = [decode(f[b"body"], WeightsTaken) for _, f in client.xrange(Keys(run_id).taken)]
    assert [(n.sampler, n.version, n.form) for n in notes] == [
        ("mine", 0, "named"), ("mine", 1, "delta"),
    ]  # fmt: skip
