"""What is not what it should be is buried where it arrives, and its group is sent again."""

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.ring.keys import Keys
from openrs_core.weights import Publisher, Receiver
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import PolicyRun, Prompt, RolloutGroup, ScoredGroup
from services.issuing import issuer
from services.sampler import loop as sampler
from tests.builders import a_prompt, a_scored_group
from tests.conftest import wait_until
from tests.fakes import FakeEngine
from tests.gate import an_admission, collect, evaluate
from tests.weights import a_snapshot

pytestmark = pytest.mark.redis

NOW = Policy(1, 0)
RECIPE = load(
    "recipes/toy.toml",
    ["learner.groups_per_step=2", "learner.group_size=2", "learner.max_staleness=0"],
)


@pytest.fixture
def admission(queue, monkeypatch):
    """A learner's gate of 2 groups a step that looks for lost groups at once."""
    monkeypatch.setattr(issuer, "PATIENCE_SECONDS", 0.05)
    return an_admission(queue("learner"), RECIPE, held_out=1)


def letters(client, run_id: str) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in client.xrange(Keys(run_id).buried)]


def honest(prompt: Prompt) -> ScoredGroup:
    rewards = [float(n % 2) for n in range(prompt.sampling.group_size)]
    return a_scored_group(prompt, rewards=rewards)


def forged(prompt: Prompt) -> ScoredGroup:
    """A completion of a policy that is yet to come."""
    group = honest(prompt)
    first, *others = group.rollout.completions
    first = replace(first, policies=(PolicyRun(incarnation=1, version=1, count=2),))
    return replace(group, rollout=replace(group.rollout, completions=(first, *others)))


class Answering(threading.Thread):
    """Sampler and scorer in one; the first groups it makes are not what was asked for."""

    def __init__(self, queue, forgeries: int) -> None:
        super().__init__()
        self.stop, self._queue, self._forgeries = threading.Event(), queue, forgeries

    def run(self) -> None:
        while not self.stop.is_set():
            for taken in self._queue.read("prompts", Prompt, 9, 0.05):
                made = forged if self._forgeries > 0 else honest
                self._forgeries -= 1
                self._queue.forward(taken, "scored", made(taken.message))


@pytest.fixture
def answering(queue):
    """Starts one, and ends it with the test."""
    threads = []

    def start(forgeries: int) -> None:
        threads.append(Answering(queue("worker"), forgeries))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.stop.set()
        thread.join()


def test_a_group_that_was_not_issued_so_is_buried_and_asked_for_again(
    admission, answering, client, run_id
):
    answering(forgeries=3)
    collected = collect(admission, NOW)
    assert [c.group.rollout.completions[0].policies[0].version for c in collected] == [0, 0]
    assert {c.issued.group_id for c in collected} == {"1.1", "1.2"}
    assert admission.ledger.issued == 2, "the places in the data order are the same"
    found = letters(client, run_id)
    assert [letter[b"reason"] for letter in found] == [b"policy 1:1 was never published"] * 3
    assert {letter[b"id"] for letter in found} == {b"1.1", b"1.2"}
    assert decode(found[0][b"body"], ScoredGroup).rollout.prompt.group_id == "1.1"


def test_an_evaluation_ends_although_its_groups_were_lost(admission, answering, client, run_id):
    """The first two are no answers, and are buried; then they are asked for again."""
    answering(forgeries=2)
    found = evaluate(admission, NOW)
    assert {(result.mode, result.problems) for result in found} == {("sampled", 1), ("greedy", 1)}
    assert len(letters(client, run_id)) == 2


def test_a_prompt_whose_policy_never_comes_is_buried_and_its_place_is_free_again(
    queue, client, run_id, monkeypatch
):
    monkeypatch.setattr(sampler, "HELD_TOO_LONG_SECONDS", 0.2)
    learner, engine, stop = queue("learner"), FakeEngine(), threading.Event()
    never = [
        a_prompt(f"never-{number}", version=10**9) for number in range(engine.free_completions // 2)
    ]
    learner.publish("prompts", [*never, a_prompt("now")])
    with closing(Publisher(client, run_id, 100)) as publisher:
        publisher.begin(NOW, a_snapshot())
        with closing(Receiver(client, run_id, "sampler", a_snapshot())) as receiver:
            receiver.start()
            arguments = (queue("sampler"), engine, receiver, stop)
            thread = threading.Thread(target=sampler.run, args=arguments)
            thread.start()
            wait_until(lambda: learner.depth("rollouts") == 1, "the group whose policy is there")
            stop.set()
            thread.join()
    found = letters(client, run_id)
    assert len(found) == len(never)
    assert b"policy 1:1000000000 did not come" in found[0][b"reason"]


def test_a_stream_entry_with_an_impossible_id_does_not_hide_the_others(queue, client, run_id):
    one = queue()
    client.xadd(Keys(run_id).stage("prompts"), {"id": b"\xff\xfe"})
    one.publish("prompts", [a_prompt("1.1")])
    assert "1.1" in one.traces()


def test_a_prompt_of_an_evaluation_that_no_policy_in_force_can_answer_is_let_go(
    queue, client, run_id
):
    """Its learner's life is over: nobody waits for it, and a later policy must not answer it."""
    learner, engine, stop = queue("learner"), FakeEngine(), threading.Event()
    asked = [("old", "eval", 2), ("train", "train", 2), ("now", "eval", 3)]
    learner.publish("prompts", [a_prompt(n, purpose=p, version=v) for n, p, v in asked])
    with closing(Publisher(client, run_id, 100)) as publisher:
        publisher.begin(Policy(1, 3), a_snapshot())
        with closing(Receiver(client, run_id, "sampler", a_snapshot())) as receiver:
            receiver.start()
            arguments = (queue("sampler"), engine, receiver, stop)
            thread = threading.Thread(target=sampler.run, args=arguments)
            thread.start()
            wait_until(lambda: learner.depth("prompts") == 0, "no prompt left")
            stop.set()
            thread.join()
    sampled = queue("scorer").read("rollouts", RolloutGroup, 9)
    assert {delivery.message.prompt.group_id for delivery in sampled} == {"train", "now"}
    assert letters(client, run_id) == []
