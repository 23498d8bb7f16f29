"""How the scorer's loop waits, for new rollouts and for verdicts at once, without looking often.

The queue is a real Redis; each verdict comes when the test says so.
"""

import threading
import time
from concurrent.futures import Future

import pytest

from openrs_core.recipe.file import load
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.ring.queue import Queue
from openrs_core.wire.messages import Completion, Prompt, ScoredGroup
from services.scorer import loop as scorer
from tests.builders import a_group, a_prompt
from tests.conftest import wait_until

pytestmark = pytest.mark.redis
RULES = load("recipes/toy.toml").scorer


class CountedQueue(Queue):
    """Knows how often it was read."""

    reads = 0

    def read(self, *arguments, **options):
        self.reads += 1
        return super().read(*arguments, **options)


class HeldVerdicts:
    """Verifiers that are busy until a verdict is given by hand."""

    def __init__(self) -> None:
        self.asked: list[Future[str]] = []

    def submit(self, completion: Completion, prompt: Prompt) -> "Future[str]":
        self.asked.append(Future())
        return self.asked[-1]

    submit_as_harness = submit  # so whoever asks it unasked, asks twice as often as is waited for


class Scorer:
    """A scorer's loop in a thread, with both its ends in the test's hands."""

    def __init__(self, client, run: str, rules: ScorerSection = RULES) -> None:
        self.rules = rules
        self.queue, self.verifiers = CountedQueue(client, run, "scorer"), HeldVerdicts()
        self.outside, self.stop = Queue(client, run, "outside"), threading.Event()
        arguments = (self.queue, self.verifiers, rules, self.stop)
        self.thread = threading.Thread(target=scorer.run, args=arguments)
        self.thread.start()

    def give(self, *names: str) -> None:
        """Groups of two completions each, and wait until their verdicts are asked for."""
        ways = 2 if self.rules.as_harness else 1
        wanted = len(self.verifiers.asked) + 2 * ways * len(names)
        self.outside.publish("rollouts", [a_group(a_prompt(name)) for name in names])
        wait_until(lambda: len(self.verifiers.asked) == wanted, f"the begin of {names}")

    def scored(self) -> list[str]:
        """The groups that were handed on since the last look."""
        taken = self.outside.read("scored", ScoredGroup, 100)
        return [delivery.message.rollout.prompt.group_id for delivery in taken]

    def end(self) -> None:
        """Let it go: with every verdict there, it waits for nothing."""
        self.stop.set()
        for verdict in self.verifiers.asked:
            if not verdict.done():
                verdict.set_result("correct")
        self.thread.join()


@pytest.fixture
def scoring(client, run_id):
    """A scorer at work."""
    scoring = Scorer(client, run_id)
    yield scoring
    scoring.end()


@pytest.fixture
def without_looks(monkeypatch):
    """What happens now, happens because a verdict came: no wait ends by itself."""
    monkeypatch.setattr(scorer, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(scorer, "BLOCK_SECONDS", 3600.0)  # the queue keeps its own


def test_a_scorer_whose_verifiers_are_busy_looks_for_work_once_in_a_while(scoring):
    """Between two looks it waits LOOK_SECONDS, so so many looks fit into the time, and one more."""
    scoring.give("slow")
    before, begun = scoring.queue.reads, time.monotonic()
    wait_until(lambda: scoring.queue.reads > before + 10, "more looks")
    looks = scoring.queue.reads - before
    assert looks <= (time.monotonic() - begun) / scorer.LOOK_SECONDS + 1


def test_a_group_is_handed_on_when_its_last_verdict_comes(scoring, without_looks):
    scoring.give("group")
    last, first = scoring.verifiers.asked
    first.set_result("correct")
    last.set_result("incorrect")
    wait_until(lambda: scoring.scored() == ["group"], "the group")


def test_a_group_overtakes_one_that_waits_for_a_slow_answer(scoring, without_looks):
    """Whichever of its verdicts is the last one."""
    scoring.outside.publish("rollouts", [a_group(a_prompt(name)) for name in ("slow", "a", "b")])
    wait_until(lambda: len(scoring.verifiers.asked) == 6, "the begin of all three")
    slow, _, *rest = scoring.verifiers.asked
    for group, order in (("a", rest[:2]), ("b", rest[:1:-1])):
        for verdict in order:
            verdict.set_result("correct")
        wait_until(lambda group=group: scoring.scored() == [group], f"group {group}")
    assert not slow.done()


def test_new_work_is_begun_while_older_is_verified(scoring):
    scoring.give("slow")
    scoring.give("new")
    assert not any(verdict.done() for verdict in scoring.verifiers.asked)


def test_a_scorer_that_is_full_takes_the_next_group_when_one_is_done(scoring, without_looks):
    names = [f"1.{number}" for number in range(scorer.MOST_GROUPS + 1)]
    scoring.outside.publish("rollouts", [a_group(a_prompt(name)) for name in names])
    full = 2 * scorer.MOST_GROUPS
    wait_until(lambda: len(scoring.verifiers.asked) == full, "all it takes at once")
    for verdict in scoring.verifiers.asked[:2]:
        verdict.set_result("correct")
    wait_until(lambda: len(scoring.verifiers.asked) == full + 2, "the next one")
    assert scoring.scored() == names[:1]


def test_a_group_waits_for_the_harness_where_the_recipe_names_it(client, run_id):
    """What it says is recorded beside the verdict, and earns nothing at weight 0."""
    rules = RULES.model_copy(update={"weights": {"accuracy": 1.0, "harness": 0.0}})
    scoring = Scorer(client, run_id, rules)
    scoring.give("both ways")
    *verdicts, first, second = scoring.verifiers.asked
    for each in verdicts:
        each.set_result("incorrect")
    assert scoring.scored() == []
    first.set_result("correct")
    second.set_result("timeout")
    found = []
    wait_until(lambda: found.extend(scoring.outside.read("scored", ScoredGroup, 1)) or found, "it")
    scoring.end()
    scores = found[0].message.scores
    assert [each.components for each in scores] == [
        {"accuracy": 0.0, "harness": 1.0}, {"accuracy": 0.0, "harness": 0.0},
    ]  # fmt: skip
    assert [(each.reward, each.verdict) for each in scores] == [(0.0, "incorrect")] * 2
