"""A survey over a real Redis: all is answered, once, whatever dies and whatever comes back."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from openrs_core.errors import RunError
from openrs_core.ledger import Policy
from openrs_core.record.rollouts import Journal
from openrs_core.record.writer import RecordWriter
from openrs_core.wire.messages import Prompt, ScoredGroup
from services.issuing.issuer import Issuer
from services.issuing.survey import MOST_RETRIES, Survey
from tests.builders import a_group, a_prompt, a_scored_group

pytestmark = pytest.mark.redis

PROMPTS = [a_prompt(f"eval.s.{number}", purpose="eval") for number in range(12)]


class NoRival:
    """A lease that nobody else wants."""

    def confirm(self) -> None:
        """Still ours."""


class Answering(threading.Thread):
    """Sampler and scorer in one."""

    def __init__(self, queue, answer: Callable[[Prompt], ScoredGroup]) -> None:
        super().__init__()
        self.stop, self.asked = threading.Event(), Counter[str]()
        self._queue, self._answer = queue, answer

    def run(self) -> None:
        while not self.stop.is_set():
            for taken in self._queue.read("prompts", Prompt, 2, 0.05):
                self.asked[taken.message.group_id] += 1
                self._queue.forward(taken, "scored", self._answer(taken.message))


@pytest.fixture
def answering(queue):
    """Starts one, and ends it with the test."""
    threads = []

    def start(answer: Callable[[Prompt], ScoredGroup] = a_scored_group) -> Answering:
        threads.append(Answering(queue("worker"), answer))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.stop.set()
        thread.join()


@pytest.fixture
def a_life(queue, tmp_path):
    """Begins a life of the client, which ends with the test."""
    journals = []

    def begin(incarnation: int, prompts=PROMPTS, in_flight: int = 8) -> Survey:
        journals.append(Journal(tmp_path / "groups.bin"))
        survey = Survey(
            stage="asking", prompts={each.group_id: each for each in prompts},
            in_flight=in_flight, policy=Policy(incarnation, 0),
            issuer=Issuer(queue("client"), 100), journal=journals[-1],
            record=RecordWriter(tmp_path), lease=NoRival(), stop=threading.Event(),
        )  # fmt: skip
        survey.resume()
        return survey

    yield begin
    for journal in journals:
        journal.close()


def kept(survey: Survey) -> set[str]:
    return {group.rollout.prompt.group_id for group in survey.journal}


NAMES = {prompt.group_id for prompt in PROMPTS}


def test_all_is_asked_once_and_nothing_stays_in_redis(a_life, answering, queue):
    worker, survey = answering(), a_life(1)
    survey.run()
    assert survey.is_done
    assert kept(survey) == NAMES
    assert worker.asked == Counter(NAMES)
    assert queue("another").traces() == set()


def test_no_more_is_asked_at_once_than_may_be(a_life, queue):
    survey = a_life(1, in_flight=5)
    survey.issuer.issue(survey._next())
    assert queue("another").depth("prompts") == 3  # of two completions each


def test_a_later_life_asks_only_what_was_never_asked(a_life, answering, queue):
    """What the first one asked for is answered while nobody is there to take it."""
    first = a_life(1, in_flight=8)
    first.issuer.issue(first._next())
    worker = answering()
    second = a_life(2)
    second.run()
    assert kept(second) == NAMES
    assert worker.asked == Counter(NAMES)


def test_what_was_kept_and_not_acknowledged_is_not_kept_twice(a_life, answering, monkeypatch):
    answering()
    first = a_life(1)
    monkeypatch.setattr(first.issuer, "acknowledge", first.stop.set)  # it dies just before
    first.run()
    assert 0 < len(kept(first)) < len(NAMES)
    second = a_life(2)
    second.run()
    names = [group.rollout.prompt.group_id for group in second.journal]
    assert sorted(names) == sorted(NAMES)


def unverified(prompt: Prompt) -> ScoredGroup:
    group = a_scored_group(prompt)
    first, *others = group.scores
    return replace(group, scores=(replace(first, verdict="error"), *others))


def test_what_could_not_be_verified_is_asked_again_and_kept_in_the_end(a_life, answering):
    worker, survey = answering(unverified), a_life(1)
    survey.run()
    assert kept(survey) == NAMES
    assert set(worker.asked.values()) == {1 + MOST_RETRIES}


def failed(prompt: Prompt) -> ScoredGroup:
    if prompt.group_id != "eval.s.3":
        return a_scored_group(prompt)
    rollout = replace(a_group(prompt), completions=(), failure="too long")
    return ScoredGroup(rollout=rollout, scores=())


def test_what_cannot_be_sampled_is_named_and_a_later_life_tries_it_again(a_life, answering):
    worker, survey = answering(failed), a_life(1)
    survey.run()
    assert survey.is_done
    assert survey.failures == {"eval.s.3": "too long"}
    assert kept(survey) == NAMES - {"eval.s.3"}
    worker.stop.set()
    worker.join()
    answering()
    second = a_life(2)
    second.run()
    assert second.failures == {}
    assert kept(second) == NAMES


def test_a_journal_of_other_problems_is_refused(a_life, answering):
    answering()
    a_life(1).run()
    changed = [replace(PROMPTS[0], answer="8"), *PROMPTS[1:]]
    with pytest.raises(RunError, match="was another one when it was asked"):
        a_life(2, changed)
