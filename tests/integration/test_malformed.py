"""Thousands of malformed messages: each is delivered or buried, and the ring turns on.

The three loops run on a real Redis, with fakes at their far ends. The learner issues good prompts
all the while, and its groups must come through.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from openrs_core.errors import DecodeError
from openrs_core.ledger import Ledger, Policy
from openrs_core.recipe.file import load
from openrs_core.ring import dead_letters
from openrs_core.ring.connection import connect
from openrs_core.ring.keys import STAGES, Keys, Stage
from openrs_core.ring.queue import Delivery, Queue
from openrs_core.weights import Publisher, Receiver
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import Prompt, RolloutGroup, ScoredGroup
from services.issuing import issuer
from services.sampler import loop as sampler
from services.scorer import loop as scorer
from tests.builders import a_completion
from tests.conftest import wait_until
from tests.fakes import FakeEngine, FakeVerifiers
from tests.gate import an_admission, collect
from tests.malformed import KINDS, made
from tests.weights import a_snapshot

pytestmark = [pytest.mark.redis, pytest.mark.timeout(300)]

RUN, NOW = "malformed", Policy(1, 0)
PER_STAGE, AT_LEAST, GOOD_GROUPS = 700, 2000, 100
RECIPE = load(
    "recipes/toy.toml",
    ["learner.groups_per_step=4", "learner.group_size=2", "learner.max_staleness=1"],
)


READERS: dict[Stage, str] = {"prompts": "sampler", "rollouts": "scorer", "scored": "learner"}


class Recording(Queue):
    """A queue that notes how each entry left its stage."""

    def __init__(self, client: redis.Redis, consumer: str) -> None:
        super().__init__(client, RUN, consumer)
        self.left: dict[bytes, list[str]] = defaultdict(list)

    def forward(self, taken: Delivery[Any], stage: Stage, result: RolloutGroup) -> bool:
        first = super().forward(taken, stage, result)
        self.left[taken.entry_id].append("forwarded" if first else "late")
        return first

    def ack(self, stage: Stage, taken: Iterable[Delivery[Any]]) -> None:
        settled = list(taken)
        super().ack(stage, settled)
        for delivery in settled:
            self.left[delivery.entry_id].append("acknowledged")

    def bury(
        self, stage: Stage, entry_id: bytes, fields: Mapping[bytes, bytes], reason: str
    ) -> None:
        super().bury(stage, entry_id, fields, reason)
        self.left[entry_id].append("buried")


class Engine(FakeEngine):
    """Answers every second time correctly, in one token; takes two prompts of one group id."""

    free_completions = 128

    def submit(self, taken: Delivery[Prompt]) -> None:
        self.in_flight[taken.entry_id.decode()] = taken

    def step(self) -> list[tuple[Delivery[Prompt], RolloutGroup]]:
        done, self.in_flight = self.in_flight, {}
        return [(taken, self._group(taken.message)) for taken in done.values()]

    def _group(self, prompt: Prompt) -> RolloutGroup:
        completions = tuple(
            a_completion(f"\\boxed{{{7 + number % 2}}}", tokens=1)
            for number in range(prompt.sampling.group_size)
        )
        return RolloutGroup(prompt=prompt, completions=completions, sampler="sampler")


@dataclass
class Ring:
    """Three loops, what was put in, and what they left behind."""

    client: redis.Redis
    queues: dict[Stage, Recording]
    """By the stage they read."""
    ledger: Ledger
    put_in: dict[Stage, dict[bytes, dict[str, bytes]]]
    """By stage and entry id."""
    trained: list[ScoredGroup] = field(default_factory=list)
    dead: list[dict[bytes, bytes]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """Loops that ended before they were told to."""

    def learn(self, stop: threading.Event) -> None:
        """A learner's loop without the learning."""
        admission = an_admission(self.queues["scored"], RECIPE, self.ledger)
        while collected := collect(admission, NOW, stop):
            admission.settle(collected)
            admission.issuer.acknowledge()
            self.trained.extend(each.group for each in collected)

    def turn(self, receiver: Receiver) -> None:
        """Run the loops until all is through, and a hundred good groups after it."""
        stop = threading.Event()
        work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (sampler.run, (self.queues["prompts"], Engine(), receiver, stop)),
            (scorer.run, (self.queues["rollouts"], FakeVerifiers(), RECIPE.scorer, stop)),
            (self.learn, (stop,)),
        ]
        threads = [threading.Thread(target=loop, args=arguments) for loop, arguments in work]
        for thread in threads:
            thread.start()
        try:
            wait_until(self.is_through, "the end of what was malformed", 200)
            so_far = len(self.trained)
            wait_until(lambda: len(self.trained) >= so_far + GOOD_GROUPS, "good groups", 60)
            self.ended = [thread.name for thread in threads if not thread.is_alive()]
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def is_through(self) -> bool:
        """Is nothing left in the streams of what was put in?"""
        return not any(
            entry_id in self.put_in[stage]
            for stage in STAGES
            for entry_id, _ in self.client.xrange(Keys(RUN).stage(stage))
        )


@pytest.fixture(scope="module")
def ring(redis_url):
    """The ring, when it has stopped."""
    client, keys, patch = connect(redis_url), Keys(RUN), pytest.MonkeyPatch()
    client.flushall()
    patch.setattr(issuer, "PATIENCE_SECONDS", 0.5)
    patch.setattr(sampler, "HELD_TOO_LONG_SECONDS", 0.2)
    queues = {stage: Recording(client, reader) for stage, reader in READERS.items()}
    put_in = {
        stage: {client.xadd(keys.stage(stage), entry): entry for entry in made(stage, PER_STAGE)}
        for stage in STAGES
    }
    ledger = Ledger(RECIPE.learner.max_staleness, RECIPE.learner.groups_per_step)
    ring = Ring(client, queues, ledger, put_in)
    with (
        closing(Publisher(client, RUN, 100)) as publisher,
        closing(Receiver(client, RUN, "sampler", a_snapshot())) as receiver,
    ):
        publisher.begin(NOW, a_snapshot())
        receiver.start()
        ring.turn(receiver)
    patch.undo()
    ring.dead = [fields for _, fields in client.xrange(keys.buried)]
    yield ring
    client.close()


def can_be_read(stage: Stage, body: bytes) -> bool:
    try:
        decode(body, KINDS[stage])
    except DecodeError:
        return False
    return True


def as_kept(body: bytes) -> bytes:
    return body if len(body) <= dead_letters.WHOLE_BYTES else body[: dead_letters.CUT_BYTES]


def test_there_were_thousands_and_most_were_no_messages(ring):
    assert all(len(entries) >= PER_STAGE for entries in ring.put_in.values())
    bodies = [
        (stage, entry.get("body", b""))
        for stage, entries in ring.put_in.items()
        for entry in entries.values()
    ]
    assert len(bodies) >= AT_LEAST
    unreadable = sum(not can_be_read(stage, body) for stage, body in bodies)
    assert len(bodies) // 2 < unreadable < len(bodies), "some are well-formed, and travel on"


def test_no_loop_ended(ring):
    assert ring.ended == []


def test_every_one_left_its_stage_exactly_once(ring):
    for stage, entries in ring.put_in.items():
        left = ring.queues[stage].left
        assert {len(left[entry_id]) for entry_id in entries} == {1}
        assert {left[entry_id][0] for entry_id in entries} <= {
            "forwarded", "acknowledged", "buried",
        }  # fmt: skip


def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes_and_nothing_else_is(ring):
    """Or it can be read and was refused: a group nobody issued so, a policy that never came."""
    expected = Counter(
        (stage, as_kept(entry.get("body", b"")))
        for stage, entries in ring.put_in.items()
        for entry in entries.values()
        if not can_be_read(stage, entry.get("body", b""))
    )
    found = Counter((letter[b"stage"].decode(), letter[b"body"]) for letter in ring.dead)
    assert expected - found == Counter()
    assert all(can_be_read(stage, body) for stage, body in found - expected)


def test_every_dead_letter_says_why_and_where_from(ring):
    for letter in ring.dead:
        assert letter[b"consumer"].decode() == READERS[letter[b"stage"].decode()]
    assert all(
        0 < len(letter[b"reason"]) <= dead_letters.LONGEST_REASON * 4 for letter in ring.dead
    )
    assert {letter.get(b"id") for letter in ring.dead} >= {None, b"1.1"}


def test_what_was_buried_is_what_the_loops_say_they_buried(ring):
    buried = sum(how.count("buried") for q in ring.queues.values() for how in q.left.values())
    assert len(ring.dead) == buried


def test_the_good_groups_came_through_whole(ring):
    assert len(ring.trained) >= GOOD_GROUPS
    for group in ring.trained:
        assert group.rollout.prompt.token_ids == (1, 2)
        assert [score.verdict for score in group.scores] == ["correct", "incorrect"]
        assert [each.text for each in group.rollout.completions] == ["\\boxed{7}", "\\boxed{8}"]


def test_the_ledger_still_balances(ring):
    balance = ring.ledger.balance()
    assert balance.pop("issued") == sum(balance.values())
    assert balance["trained"] == len(ring.trained)
    assert balance["failed"] == balance["stale"] == 0
