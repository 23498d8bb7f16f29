"""How the learner's gate sorts what comes back, and what it says of all of it: real Redis."""

import json
import logging
from dataclasses import replace

import pytest

from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.record.checkpoint import State
from openrs_core.wire.messages import Prompt, ScoredGroup, Verdict
from tests.builders import a_scored_group
from tests.gate import an_admission, collect
from tests.learner import TOY, answered, answering

pytestmark = pytest.mark.redis

NOW = Policy(1, 0)
SMALL = ["learner.groups_per_step=2", "learner.group_size=2", "learner.max_staleness=1"]
UNKNOWN, RIGHT, WRONG, SIGNAL = (None, None), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0)


def marked(prompt: Prompt, rewards: tuple[float | None, ...]) -> ScoredGroup:
    """None: that completion could not be verified."""
    group = answered(prompt, *(reward or 0.0 for reward in rewards))
    verdicts: list[Verdict] = [
        "error" if reward is None else score.verdict
        for reward, score in zip(rewards, group.scores, strict=True)
    ]
    scores = [replace(s, verdict=v) for s, v in zip(group.scores, verdicts, strict=True)]
    return replace(group, scores=tuple(scores))


@pytest.fixture
def admission(queue):
    return an_admission(queue("learner"), load(TOY, SMALL))


def step(admission, queue, *rewards: tuple[float | None, ...]) -> None:
    """One step, of what is answered to the prompts in turn; the last answer is repeated."""
    left = list(rewards)

    def answer(prompt: Prompt) -> ScoredGroup:
        return marked(prompt, left.pop(0) if len(left) > 1 else left[0])

    with answering(queue, answer):
        admission.settle(collect(admission, NOW))


def test_what_could_not_be_verified_ends_as_failed_and_equal_rewards_as_zero_signal(
    admission, queue
) -> None:
    step(admission, queue, UNKNOWN, RIGHT, WRONG, (1.0, None), SIGNAL)
    balance = admission.ledger.balance()
    assert (balance["failed"], balance["zero_signal"], balance["trained"]) == (2, 2, 2)


def test_all_that_was_scored_since_the_last_step_is_told_and_then_forgotten(
    admission, queue
) -> None:
    """What is back and waits for its step is told of then."""
    step(admission, queue, UNKNOWN, RIGHT, WRONG, SIGNAL)
    told = admission.scored
    assert told.groups == {"all_unverified": 1, "all_right": 1, "all_wrong": 1, "signal": 2}
    assert told.completions == {"error": 2, "correct": 4, "incorrect": 4}
    assert (told.reward, told.accuracy, told.truncated) == (0.5, 0.5, 0.0)
    step(admission, queue, SIGNAL)
    assert admission.scored.groups == {"signal": 2}


def test_the_tally_of_a_checkpoint_counts_no_group_twice(admission, queue) -> None:
    """What was back and not taken comes back again after a resume."""
    with answering(queue, lambda prompt: marked(prompt, RIGHT if prompt.position else SIGNAL)):
        admission.issue(NOW, NOW)
        while admission.ledger.balance()["zero_signal"] < 3:
            admission.read(NOW, 0.05)
    state = State(version=0, incarnation=1, fingerprint="f", health={}, **admission.state())
    later = an_admission(queue("learner"), load(TOY, SMALL))
    later.restore(replace(state, algorithm=json.loads(json.dumps(state.algorithm))), Policy(2, 0))
    assert later._tally.scored().groups == {"all_right": 3}
    assert list(admission.ledger.in_flight) == list(later.ledger.in_flight)


def test_steps_worth_of_groups_without_signal_are_told_in_one_line(
    admission, queue, caplog
) -> None:
    caplog.set_level(logging.WARNING)
    step(admission, queue, *[WRONG] * 6, UNKNOWN, RIGHT, SIGNAL)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        "none of the last 8 groups had a signal (6 all wrong, 1 all unverified, 1 all right)"
    )


def test_a_group_that_is_stale_is_counted_when_it_comes_back_anew(queue) -> None:
    admission = an_admission(queue("learner"), load(TOY, SMALL))
    admission.issue(NOW, NOW)
    later = Policy(1, 2)
    for prompt in [d.message for d in queue("worker").read("prompts", Prompt, 9)]:
        queue("worker").publish("scored", [a_scored_group(prompt)])
    admission.read(later, 1.0)
    assert admission._tally.scored().groups == {}
    assert admission.ledger.balance()["stale"] == 4
