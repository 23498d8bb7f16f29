"""`openrs weights`: what it says of a living run, of a finished one, and of none."""

import json

import pytest

from openrs_core.errors import RunError
from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.ring.keys import Keys
from openrs_core.weights import Layout, Publisher, Receiver, Tensor
from openrs_core.wire.codec import encode
from openrs_core.wire.messages import Prompt
from services.learner.recorder import Recorder
from services.monitor.weights import show
from tests.builders import a_manifest
from tests.weights import a_snapshot, after, difference

pytestmark = pytest.mark.redis


LAYOUT = Layout([Tensor("t", "bfloat16", (5000,))])


@pytest.fixture
def living(client, run_id, queue):
    """Two versions published, the first of them in force at a sampler."""
    publisher, old = Publisher(client, run_id, 100), a_snapshot(layout=LAYOUT)
    publisher.begin(Policy(1, 0), old.copy())
    receiver = Receiver(client, run_id, "sampler-7", old.copy())
    queue("sampler-7").read("prompts", Prompt, 1)
    for version in (1, 2):
        new = after(old, [(0, version, 9)])
        publisher.publish(Policy(1, version), difference(old, new))
        publisher.drain()
        old = new
        if version == 1:
            receiver.advance()
            for update in receiver.take():
                receiver.note(update, 0.004)
    yield run_id
    publisher.close()


def test_a_living_run_tells_versions_sizes_times_and_who_is_where(living, redis_url, tmp_path):
    found = json.loads(show(living, tmp_path, redis_url, 20, as_json=True))
    assert [(p["version"], p["form"], p["samplers"]) for p in found["published"]] == [
        (0, "named", 1), (1, "delta", 1), (2, "delta", 0),
    ]  # fmt: skip
    first = found["published"][1]
    assert (first["values"], first["apply_seconds"]) == (1, 0.004)
    assert 0 < first["size"] == found["held_bytes"] - found["published"][2]["size"]
    [sampler] = found["samplers"]
    assert (sampler["sampler"], sampler["version"], sampler["behind"]) == ("sampler-7", 1, 1)
    assert sampler["idle_seconds"] >= 0


def test_the_same_as_a_table(living, redis_url, tmp_path):
    text = show(living, tmp_path, redis_url, 1, as_json=False)
    assert "newest version 1:2" in text
    assert "1:0" not in text, "only the last one was asked for"
    assert "sampler-7" in text


def test_the_redis_of_openrs_up_is_found_by_itself(living, redis_url, tmp_path):
    (tmp_path / living / "redis").mkdir(parents=True)
    (tmp_path / living / "redis" / "url").write_text(f"{redis_url}\n")
    assert "sampler-7" in show(living, tmp_path, None, 20, as_json=False)
    assert "sampler-7" in show(str(tmp_path / living), tmp_path, None, 20, as_json=False)


def test_a_finished_run_is_told_from_its_record(tmp_path):
    recorder = Recorder(tmp_path, load("recipes/toy.toml"))
    recorder.published(a_manifest(3, size=7))
    found = json.loads(show(str(tmp_path), tmp_path, None, 20, as_json=True))
    assert [(p["version"], p["size"]) for p in found["published"]] == [(3, 7)]
    assert "1:3" in show(str(tmp_path), tmp_path, None, 20, as_json=False)


def test_a_message_that_is_none_is_passed_over(living, client, redis_url, tmp_path):
    client.xadd(Keys(living).taken, {"body": b"noise"})
    client.xadd(Keys(living).manifests, {"body": encode(a_manifest(9))[:-1]})
    assert "newest version 1:2" in show(living, tmp_path, redis_url, 20, as_json=False)


def test_a_run_that_nobody_knows_is_named(redis_url, tmp_path):
    with pytest.raises(RunError, match=r"run 'nope': no weights of it .* check the run id"):
        show("nope", tmp_path, redis_url, 20, as_json=False)
