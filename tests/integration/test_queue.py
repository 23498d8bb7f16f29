"""The work queue on a real Redis: nothing lost, nothing handed on twice."""

import pytest

from openrs_core.errors import FencedError, FullError
from openrs_core.ring.keys import Keys
from openrs_core.wire.messages import Prompt, RolloutGroup
from tests.builders import a_group, a_prompt
from tests.conftest import wait_until

pytestmark = pytest.mark.redis

SOON = 0.05
"""A redelivery timeout that is over at once."""


def test_prompts_are_read_in_the_order_they_were_published(queue):
    learner, sampler = queue("learner"), queue("sampler")
    learner.publish("prompts", [a_prompt(f"1.{number}") for number in range(5)])
    taken = sampler.read("prompts", Prompt, 3)
    assert [delivery.message.group_id for delivery in taken] == ["1.0", "1.1", "1.2"]


def test_a_prompt_goes_to_one_sampler_only(queue):
    queue("learner").publish("prompts", [a_prompt()])
    assert queue("first").read("prompts", Prompt, 1)
    assert not queue("second").read("prompts", Prompt, 1)


def test_forwarding_moves_the_work_to_the_next_stage(queue):
    one = queue()
    one.publish("prompts", [a_prompt()])
    taken = one.read("prompts", Prompt, 1)[0]
    assert one.forward(taken, "rollouts", a_group(taken.message))
    assert (one.depth("prompts"), one.depth("rollouts")) == (0, 1)


def test_a_late_sampler_hands_on_nothing(queue):
    """A prompt taken over by another sampler yields one group, however late the first finishes."""
    slow, quick = queue("slow", SOON), queue("quick", SOON)
    slow.publish("prompts", [a_prompt()])
    first = slow.read("prompts", Prompt, 1)[0]
    taken = []
    wait_until(lambda: taken.extend(quick.read("prompts", Prompt, 1)) or taken, "reclaim")
    assert quick.forward(taken[0], "rollouts", a_group())
    assert not slow.forward(first, "rollouts", a_group())
    assert quick.depth("rollouts") == 1


def test_work_that_is_renewed_is_not_taken_away(queue, client, run_id):
    """A renewed claim is fresh again, as Redis sees it."""
    busy = queue("busy", redelivery_seconds=60.0)
    busy.publish("prompts", [a_prompt()])
    taken = busy.read("prompts", Prompt, 1)
    stream = Keys(run_id).stage("prompts")
    client.xclaim(stream, "openrs", "busy", 0, [taken[0].entry_id], idle=50_000)
    busy.renew("prompts")
    assert client.xpending_range(stream, "openrs", "-", "+", 1)[0]["time_since_delivered"] < 50_000


def test_renewing_does_not_take_back_what_another_owns(queue):
    late, owner = queue("late", SOON), queue("owner", SOON)
    late.publish("prompts", [a_prompt()])
    late.read("prompts", Prompt, 1)
    got = []
    wait_until(lambda: got.extend(owner.read("prompts", Prompt, 1)) or got, "reclaim")
    late.renew("prompts")
    assert not queue("late").read("prompts", Prompt, 1)
    assert queue("owner").read("prompts", Prompt, 1)


def test_released_work_is_available_at_once(queue):
    leaving, next_one = queue("leaving", 60.0), queue("next", 60.0)
    leaving.publish("prompts", [a_prompt()])
    leaving.read("prompts", Prompt, 1)
    leaving.release("prompts")
    assert next_one.read("prompts", Prompt, 1)


def test_a_restarted_consumer_finds_what_it_had_taken(queue):
    queue("learner").publish("prompts", [a_prompt("1.7")])
    queue("sampler-0").read("prompts", Prompt, 1)
    again = queue("sampler-0")
    [delivery] = again.read("prompts", Prompt, 9)
    assert (delivery.message.group_id, delivery.times) == ("1.7", 2)
    assert not again.read("prompts", Prompt, 9), "once is enough"


def test_an_entry_whose_arrival_was_missed_is_delivered_after_all(queue, client, run_id):
    """Redis handed it to us, and the answer was lost with the connection."""
    one = queue("reader")
    one.publish("prompts", [a_prompt("1.1"), a_prompt("1.2")])
    [first] = one.read("prompts", Prompt, 1)
    client.xreadgroup("openrs", "reader", {Keys(run_id).stage("prompts"): ">"}, 1)
    one.renew("prompts")
    found = one.read("prompts", Prompt, 9)
    assert [d.message.group_id for d in (first, *found)] == ["1.1", "1.2"]


def test_forwarding_twice_hands_on_once(queue):
    """So a client that lost the answer may send it again."""
    one = queue()
    one.publish("prompts", [a_prompt()])
    [taken] = one.read("prompts", Prompt, 1)
    assert one.forward(taken, "rollouts", a_group())
    assert not one.forward(taken, "rollouts", a_group())
    assert one.depth("rollouts") == 1


def test_a_queue_outlives_the_streams_it_reads(queue, client):
    """FLUSHALL under a running consumer: its group is made anew, and it says so."""
    one = queue()
    before = one.disturbances
    client.flushall()
    assert one.read("prompts", Prompt, 1) == []
    assert one.disturbances > before
    one.publish("prompts", [a_prompt()])
    assert one.read("prompts", Prompt, 1)


def test_a_fenced_learner_writes_nothing(queue, client, run_id):
    """A later life has begun: its prompts and acknowledgements are refused, all of them."""
    one, keys = queue("learner"), Keys(run_id)
    one.incarnation = 1
    one.publish("prompts", [a_prompt("1.1")])
    taken = one.read("prompts", Prompt, 1)
    client.incr(keys.incarnation)
    with pytest.raises(FencedError, match="another learner has taken over"):
        one.publish("prompts", [a_prompt("1.2")])
    with pytest.raises(FencedError):
        one.ack("prompts", taken)
    assert one.traces() == {"1.1"}


def test_a_redis_that_forgot_the_incarnation_is_told(queue, client, run_id):
    one = queue("learner")
    one.incarnation = 7
    one.publish("prompts", [a_prompt()])
    assert client.get(Keys(run_id).incarnation) == b"7"


def test_a_full_redis_takes_no_prompt_and_lets_everything_drain(queue, client):
    """All or none of the prompts; forward and ack work on, so that room is made."""
    one = queue()
    one.publish("prompts", [a_prompt("1.1")])
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(FullError):
            one.publish("prompts", [a_prompt("1.2"), a_prompt("1.3")])
        [taken] = one.read("prompts", Prompt, 9)
        assert one.forward(taken, "rollouts", a_group(taken.message))
        one.renew("rollouts")
        one.ack("rollouts", one.read("rollouts", RolloutGroup, 1))
    finally:
        client.config_set("maxmemory", 0)
    assert one.traces() == set()


def test_acknowledged_work_leaves_nothing_behind(queue):
    one = queue()
    one.publish("prompts", [a_prompt("1.1"), a_prompt("1.2")])
    one.ack("prompts", one.read("prompts", Prompt, 2))
    assert one.depth("prompts") == 0
    assert one.traces() == set()


def test_traces_name_every_group_between_issue_and_acknowledgement(queue):
    one = queue()
    one.publish("prompts", [a_prompt("1.1"), a_prompt("1.2")])
    taken = one.read("prompts", Prompt, 1)[0]
    one.forward(taken, "rollouts", a_group(taken.message))
    assert one.traces() == {"1.1", "1.2"}


def test_traces_name_every_group_however_many_there_are(queue):
    one, many = queue(), [f"1.{number}" for number in range(300)]
    one.publish("prompts", [a_prompt(name) for name in many])
    assert one.traces() == set(many)


def test_what_cannot_be_decoded_is_buried_and_the_work_goes_on(queue, client, run_id):
    """The dead-letter entry keeps the bytes, the reason and the origin."""
    one, keys = queue("reader"), Keys(run_id)
    client.xadd(keys.stage("rollouts"), {"body": b"\xffnoise", "id": "9.9"})
    one.publish("rollouts", [a_group()])
    taken = one.read("rollouts", RolloutGroup, 2)
    assert [delivery.message for delivery in taken] == [a_group()]
    [(_, letter)] = client.xrange(keys.buried)
    assert (letter[b"body"], letter[b"stage"], letter[b"consumer"]) == (
        b"\xffnoise",
        b"rollouts",
        b"reader",
    )
    assert b"not msgpack" in letter[b"reason"]
    assert one.depth("rollouts") == 1
