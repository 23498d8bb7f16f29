"""Each process's loop against a real Redis, with a fake at its far end."""

import json
import threading
from concurrent.futures import Future
from dataclasses import asdict, replace

import pytest

from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.record.checkpoint import State
from openrs_core.ring.keys import Keys
from openrs_core.weights import Change, Publisher, Receiver
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup, ScoredGroup
from services.sampler import loop as sampler
from services.scorer import loop as scorer
from tests.builders import a_group, a_prompt, a_scored_group
from tests.conftest import wait_until
from tests.fakes import FakeEngine, FakeVerifiers
from tests.gate import an_admission, collect
from tests.learner import answered
from tests.weights import a_snapshot

pytestmark = pytest.mark.redis
TOY = "recipes/toy.toml"


@pytest.fixture
def background():
    """Runs a loop in a thread until the test is over."""
    stop, threads = threading.Event(), []

    def start(loop, *arguments):
        thread = threading.Thread(target=loop, args=(*arguments, stop))
        thread.start()
        threads.append(thread)

    yield start
    stop.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def learner_weights(client, run_id):
    """The learner's end of the weight channel; nothing ever changes but the version."""
    publisher = Publisher(client, run_id, snapshot_every=100)
    yield publisher
    publisher.close()


@pytest.fixture
def receiver(client, run_id):
    """A sampler's end of it."""
    receiver = Receiver(client, run_id, "sampler", a_snapshot())
    receiver.start()
    yield receiver
    receiver.close()


NOTHING = Change(())


def test_no_prompt_is_sampled_under_weights_older_than_it_was_issued_under(
    queue, background, learner_weights, receiver
):
    """Publish and issue, a hundred times: the engine refuses a prompt that came too early.

    The weights travel beside the prompts, so most prompts are there before them, and are held.
    """
    engine, learner = FakeEngine(), queue("learner")
    learner_weights.begin(Policy(1, 0), a_snapshot())
    background(sampler.run, queue("sampler"), engine, receiver)
    for version in range(1, 101):
        learner_weights.publish(Policy(1, version), NOTHING)
        learner.publish("prompts", [a_prompt(f"1.{version}", version=version)])
    wait_until(lambda: learner.depth("rollouts") == 100, "a group for every prompt")


def test_a_prompt_is_held_until_its_weights_are_in_force(
    queue, background, learner_weights, receiver
):
    """It stays the sampler's meanwhile, and is handed back at a stop."""
    engine, learner, stop = FakeEngine(), queue("learner", 1.0), threading.Event()
    learner_weights.begin(Policy(1, 0), a_snapshot())
    learner.publish("prompts", [a_prompt("early", version=1), a_prompt("now", version=0)])
    one = threading.Thread(target=sampler.run, args=(queue("one"), engine, receiver, stop))
    one.start()
    wait_until(lambda: learner.depth("rollouts") == 1, "the group whose weights are there")
    stop.set()
    one.join()
    [given_back] = queue("two").read("prompts", Prompt, 2)
    assert given_back.message.group_id == "early"


def test_a_sampler_waits_for_its_first_weights(queue, background, learner_weights, receiver):
    engine, learner = FakeEngine(), queue("learner")
    learner.publish("prompts", [a_prompt()])
    background(sampler.run, queue("sampler"), engine, receiver)
    learner_weights.begin(Policy(1, 3), a_snapshot())
    wait_until(lambda: learner.depth("rollouts") == 1, "the group")
    assert engine.version == 3


def test_a_sampler_claims_what_it_can_sample_whatever_the_groups_ask_for(
    queue, background, learner_weights, receiver
):
    """Of groups of four, an evaluation's say, it takes half as many as of groups of two."""
    learner = queue("learner")

    class Busy(FakeEngine):
        @property
        def free_completions(self):
            return 8 - 4 * len(self.in_flight)

        def step(self):
            return []

    learner_weights.begin(Policy(1, 0), a_snapshot())
    learner.publish("prompts", [a_prompt(f"1.{number}", group_size=4) for number in range(6)])
    engine = Busy()
    background(sampler.run, queue("sampler"), engine, receiver)
    wait_until(lambda: engine.in_flight, "the first groups under way")
    assert len(queue("other").read("prompts", Prompt, 6)) == 4
    assert sorted(engine.in_flight) == ["1.0", "1.1"]


def test_a_prompt_that_cannot_be_sampled_travels_on_as_a_failure(
    queue, background, learner_weights, receiver
):
    learner = queue("learner")
    impossible = replace(a_prompt(), prompt_id="impossible")
    learner_weights.begin(Policy(1, 0), a_snapshot())
    learner.publish("prompts", [impossible])
    background(sampler.run, queue("sampler"), FakeEngine(), receiver)
    background(scorer.run, queue("scorer"), FakeVerifiers(), load(TOY).scorer)
    found = []
    wait_until(
        lambda: found.extend(learner.read("scored", ScoredGroup, 1)) or found,
        "the group",
    )
    assert (found[0].message.scores, found[0].message.rollout.failure) == ((), "too long")


def test_a_scorer_gives_one_score_per_completion(queue, background):
    learner = queue("learner")
    learner.publish("rollouts", [a_group()])
    background(scorer.run, queue("scorer"), FakeVerifiers(), load(TOY).scorer)
    found = []
    wait_until(
        lambda: found.extend(learner.read("scored", ScoredGroup, 1)) or found,
        "the group",
    )
    assert [score.verdict for score in found[0].message.scores] == ["correct", "correct"]


def killed_many(queue, client, run_id, stage):
    """Nine consumers had what waits in a stage, one after another, and died."""
    stream = Keys(run_id).stage(stage)
    queue("victim").read(stage, RolloutGroup if stage == "rollouts" else Prompt, 1)
    [entry] = client.xpending_range(stream, "openrs", "-", "+", 1)
    client.xclaim(stream, "openrs", "victim", 0, [entry["message_id"]], idle=600_000, retrycount=9)


def test_a_prompt_that_kills_its_samplers_comes_back_as_a_failure(
    queue, client, run_id, background, learner_weights, receiver
):
    learner = queue("learner")
    learner_weights.begin(Policy(1, 0), a_snapshot())
    learner.publish("prompts", [a_prompt()])
    killed_many(queue, client, run_id, "prompts")
    background(sampler.run, queue("sampler"), FakeEngine(), receiver)
    background(scorer.run, queue("scorer"), FakeVerifiers(), load(TOY).scorer)
    found = []
    wait_until(lambda: found.extend(learner.read("scored", ScoredGroup, 1)) or found, "the group")
    assert found[0].message.scores == ()
    assert "those who had it before died" in found[0].message.rollout.failure


def test_a_rollout_that_kills_its_scorers_gets_the_verdict_error(queue, client, run_id, background):
    learner = queue("learner")
    learner.publish("rollouts", [a_group()])
    killed_many(queue, client, run_id, "rollouts")
    background(scorer.run, queue("scorer"), FakeVerifiers(), load(TOY).scorer)
    found = []
    wait_until(lambda: found.extend(learner.read("scored", ScoredGroup, 1)) or found, "the group")
    assert {score.verdict for score in found[0].message.scores} == {"error"}


def test_a_prompt_sent_again_while_it_is_sampled_is_one_group(
    queue, background, learner_weights, receiver
):
    """The sampler goes on with what it has, for the newer entry."""
    learner, gate = queue("learner"), threading.Event()

    class Slow(FakeEngine):
        def step(self):
            return super().step() if gate.is_set() else []

    learner_weights.begin(Policy(1, 0), a_snapshot())
    learner.publish("prompts", [a_prompt()])
    engine = Slow()
    background(sampler.run, queue("sampler"), engine, receiver)
    wait_until(lambda: engine.in_flight, "the group under way")
    learner.publish("prompts", [a_prompt()])
    wait_until(lambda: learner.depth("prompts") == 1, "one entry for one group")
    gate.set()
    wait_until(lambda: learner.depth("prompts") == 0, "the end of it")
    assert learner.depth("rollouts") == 1


def test_a_loop_that_stops_hands_back_what_it_had_taken(queue):
    one = queue("leaving")
    one.publish("rollouts", [a_group()])

    class NeverDone:
        def submit(self, completion: Completion, prompt: Prompt) -> "Future[str]":
            stop.set()
            return Future()

    stop = threading.Event()
    scorer.run(one, NeverDone(), load(TOY).scorer, stop)
    assert queue("next").read("rollouts", RolloutGroup, 1)


NOW = Policy(1, 0)
SMALL = ["learner.groups_per_step=2", "learner.group_size=2", "learner.max_staleness=1"]


@pytest.fixture
def admission(queue):
    """A learner's gate of 2 groups a step, staleness 1."""
    return an_admission(queue("learner"), load(TOY, SMALL))


def answer(queue, prompts, *, rewards=(1.0, 0.0)):
    """Play sampler and scorer for every prompt that waits."""
    worker = queue("worker")
    taken = worker.read("prompts", Prompt, prompts)
    for delivery in taken:
        worker.forward(delivery, "scored", answered(delivery.message, *rewards))
    return [delivery.message for delivery in taken]


def test_no_more_is_issued_than_the_bound_allows(admission, queue):
    for _ in range(3):
        admission.issue(NOW, NOW)
    assert queue().depth("prompts") == 4


def test_a_prompt_says_what_its_problem_says_about_the_thought(admission, queue):
    admission.issue(NOW, NOW)
    opened = {p.prompt_id: p.thought_open for p in answer(queue, 9)}
    assert opened == {name: int(name[1:]) % 2 == 1 for name in opened}


def test_what_is_issued_while_weights_are_on_their_way_bears_the_version_that_is_visible(
    admission, queue
):
    """At a staleness of 1: it may be sampled under version 0, and trained at version 1 at last."""
    ahead = Policy(1, 1)
    admission.issue(ahead, NOW)
    assert {p.issued_version for p in answer(queue, 9)} == {0}
    assert queue().depth("scored") == 2, "no more than the step from version 1 can take"
    admission.issue(ahead, ahead)
    assert {p.issued_version for p in answer(queue, 9)} == {1}


def test_a_step_gets_its_groups_and_their_acknowledgement_waits_for_the_checkpoint(
    admission, queue
):
    admission.issue(NOW, NOW)
    answer(queue, 4)
    collected = collect(admission, NOW)
    assert [c.staleness for c in collected] == [0, 0]
    admission.settle(collected)
    assert queue().depth("scored") == 4
    admission.issuer.acknowledge()
    assert queue().depth("scored") == 2


def test_groups_without_signal_are_counted_and_replaced(admission, queue):
    admission.issue(NOW, NOW)
    answer(queue, 4, rewards=(1.0, 1.0))
    helper = threading.Thread(target=lambda: wait_until(lambda: answer(queue, 4), "new prompts"))
    helper.start()
    collected = collect(admission, NOW)
    helper.join()
    assert len(collected) == 2
    assert admission.ledger.balance()["zero_signal"] == 4
    assert {c.issued.position for c in collected} <= {4, 5, 6, 7}


def test_a_group_that_became_too_old_in_hand_is_let_go(queue):
    """With stragglers dropped: its place is issued again, and Redis may forget it."""
    admission = an_admission(queue("learner"), load(TOY, [*SMALL, "learner.on_straggler=drop"]))
    admission.issue(NOW, NOW)
    [prompt] = answer(queue, 1)
    admission.read(NOW, 1.0)
    later = Policy(1, 2)
    assert admission.take(later) == []
    assert admission.ledger.balance()["stale"] == 4
    assert queue().depth("scored") == 0
    assert admission.issuer.in_flight == {}
    admission.issue(later, later)
    assert prompt.position in {p.position for p in admission.issuer.in_flight.values()}


def test_a_resumed_learner_sends_again_what_left_no_trace(admission, queue, client, run_id):
    """Two groups are answered, two prompts are lost with Redis' memory: nothing is missing."""
    admission.issue(NOW, NOW)
    state = State(version=0, incarnation=1, fingerprint="f", health={}, **admission.state())
    kept = answer(queue, 2)
    client.delete(Keys(run_id).stage("prompts"))
    later, reached = an_admission(queue("learner"), load(TOY, SMALL)), Policy(2, 0)
    later.restore(State(**json.loads(json.dumps(asdict(state)))), reached)
    later.issuer.resume(reached.incarnation)
    again = [d.message for d in queue("worker").read("prompts", Prompt, 9)]
    assert {p.group_id for p in [*again, *kept]} == set(admission.ledger.in_flight)
    assert again == [admission.issuer.in_flight[p.group_id] for p in again], "as first issued"
    assert len(again) == 2


def test_a_group_of_a_life_whose_steps_were_lost_is_not_trained(admission, queue):
    stray = a_scored_group(a_prompt("1.99"))
    queue("learner").publish("scored", [stray])
    admission.issue(NOW, NOW)
    answer(queue, 4)
    collected = collect(admission, NOW)
    assert "1.99" not in {c.issued.group_id for c in collected}
    assert queue().depth("scored") == 4  # the stray is acknowledged: nobody will need it


def test_an_evaluation_of_an_earlier_life_is_dropped_when_it_comes_back(queue):
    """The life that begins later has begun its own; it acknowledges what nobody waits for."""
    earlier, later = (
        an_admission(queue("learner"), load(TOY, SMALL), held_out=1) for _ in range(2)
    )
    evaluations, reached = later._evaluation, Policy(2, 0)
    for gate, policy, reward in ((earlier, NOW, 0.0), (later, reached, 1.0)):
        gate._evaluation.begin(policy, now=0.0)
        gate.issuer.issue(gate._evaluation.next_prompts(policy, None))
        if gate is later:
            later.read(reached, 1.0)  # what the earlier life asked for
            assert queue().depth("scored") == 0
            assert (evaluations.policy, evaluations.finished()) == (reached, [])
        asked = answer(queue, 9, rewards=[reward])
        assert {prompt.purpose for prompt in asked} == {"eval"}
    later.read(reached, 1.0)
    found = [(line.mode, line.accuracy) for line in evaluations.finished()]
    assert found == [("sampled", 1.0), ("greedy", 1.0)]
    assert evaluations.policy is None


def sent_again(admission, queue, policy=NOW):
    """What a turn of the learner sends, read by a sampler."""
    admission.read(policy, 0.05)
    return {delivery.message.group_id for delivery in queue("reader").read("prompts", Prompt, 9)}


def test_a_group_whose_message_was_buried_is_sent_again_at_once(admission, queue, client, run_id):
    admission.issue(NOW, NOW)
    taken = queue("worker").read("prompts", Prompt, 4)
    client.xadd(Keys(run_id).stage("rollouts"), {"body": b"noise", "id": "1.1"})
    queue("worker").ack("prompts", taken[:1])
    queue("scorer").read("rollouts", RolloutGroup, 1)
    assert sent_again(admission, queue) == {"1.1"}


def test_what_an_emptied_redis_has_lost_is_sent_again_at_once(admission, queue, client):
    admission.issue(NOW, NOW)
    client.flushall()
    admission.read(NOW, 0.05)  # finds its stream gone
    assert sent_again(admission, queue) == set(admission.ledger.in_flight)


def test_nothing_is_issued_while_redis_is_full_and_all_of_it_afterwards(admission, queue, client):
    """The ledger has booked it once: no group is issued twice, none is forgotten."""
    client.config_set("maxmemory", 1)
    try:
        admission.issue(NOW, NOW)
        admission.issue(NOW, NOW)
        assert admission.issuer.is_full
        assert queue().depth("prompts") == 0
    finally:
        client.config_set("maxmemory", 0)
    admission.issue(NOW, NOW)
    assert not admission.issuer.is_full
    assert {p.group_id for p in answer(queue, 9)} == set(admission.ledger.in_flight)
    assert admission.ledger.balance()["issued"] == 4
