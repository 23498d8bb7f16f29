"""The audit of a run finds what it is there to find."""

from dataclasses import replace

import pytest

from openrs_core.wire.messages import Prompt, ScoredGroup
from tests.builders import a_prompt, a_scored_group
from tests.chaos.audit import audit
from tests.chaos.history import History


def issue(history: History, group_id: str, position: int, version: int = 0) -> Prompt:
    prompt = replace(a_prompt(group_id, version=version), position=position)
    history.prompts.append(prompt)
    return prompt


def score(history: History, prompt: Prompt, rewards=(1.0, 0.0), made_by=(1, 0)) -> ScoredGroup:
    group = a_scored_group(prompt, rewards=rewards, version=made_by[1])
    history.scored[prompt.group_id].append(group)
    return group


def life(incarnation: int, version: int) -> dict[str, object]:
    return {"kind": "life", "incarnation": incarnation, "version": version}


def step(version: int, incarnation: int, *groups: str, oldest=(1, 0)) -> dict[str, object]:
    made = [{"group_id": g, "oldest": list(oldest), "newest": list(oldest)} for g in groups]
    return {"kind": "step", "version": version, "incarnation": incarnation, "groups": made}


@pytest.fixture
def history() -> History:
    """Two lives. The first makes two steps and loses the second; the next one makes it anew.

    1.1 trained, 1.2 without signal, 1.3 issued after the checkpoint and void; 2.3 stands in its
    place, 2.4 is in flight.
    """
    found = History()
    for group_id, position in (("1.1", 0), ("1.2", 1), ("1.3", 2)):
        rewards = (1.0, 1.0) if group_id == "1.2" else (1.0, 0.0)
        score(found, issue(found, group_id, position), rewards)
    score(found, issue(found, "2.3", 2, version=1))
    issue(found, "2.4", 3, version=1)
    found.lines = [
        life(1, 0), step(1, 1, "1.1"), step(2, 1, "1.3"), life(2, 1), step(2, 2, "2.3"),
    ]  # fmt: skip
    return found


def test_the_accounts_of_a_sound_run_balance(history):
    found = audit(history)
    assert (found.issued, found.trained, found.zero_signal, found.in_flight) == (4, 2, 1, 1)
    assert (found.void, found.lives, found.steps) == (1, 2, 2)
    assert (found.missing, found.twice, found.faults, found.balanced) == (0, 0, [], True)


def test_a_prompt_sent_twice_is_one_group(history):
    history.prompts.append(history.prompts[-1])
    found = audit(history)
    assert (found.issued, found.reissued, found.balanced) == (4, 1, True)


def test_a_group_trained_twice_is_found(history):
    history.lines.append(step(3, 2, "1.1"))
    assert audit(history).twice > 0


def test_a_place_trained_under_two_ids_is_found(history):
    score(history, issue(history, "2.5", 0, version=1))
    history.lines.append(step(3, 2, "2.5"))
    assert audit(history).twice > 0


def test_a_place_that_was_never_issued_is_found(history):
    history.prompts[-1] = replace(history.prompts[-1], position=4)
    assert audit(history).missing == 1


def test_a_number_that_was_never_issued_is_found(history):
    history.prompts[-1] = replace(history.prompts[-1], group_id="2.9")
    assert not audit(history).balanced


def test_a_group_of_lost_steps_that_is_trained_after_all_is_found(history):
    history.lines.append(step(3, 2, "1.3"))
    assert not audit(history).balanced


def test_a_group_that_no_stream_knows_is_found(history):
    del history.scored["2.3"]
    assert "is in no stream" in audit(history).faults[0]


def test_a_group_without_signal_that_was_trained_is_found(history):
    history.scored["2.3"] = [a_scored_group(history.prompts[-2], rewards=(1.0, 1.0))]
    assert "had no signal" in audit(history).faults[0]


def test_a_version_that_is_missing_is_found(history):
    history.lines.append(step(4, 2))
    assert not audit(history).balanced


def test_staleness_is_counted_through_the_common_ancestor(history):
    """Policy 3 of the first life: two back to version 1, where the second begins, and one forth."""
    prompt = issue(history, "2.5", 4, version=1)
    score(history, prompt, made_by=(1, 3))
    history.lines.append(step(3, 2, "2.5", oldest=(1, 3)))
    assert audit(history).max_staleness == 3


def test_a_place_given_to_another_group_is_stale(history):
    history.scored["2.4"] = [a_scored_group(history.prompts[-1])]
    issue(history, "2.5", 3, version=1)
    found = audit(history)
    assert (found.stale, found.in_flight, found.missing, found.balanced) == (1, 1, 0, True)
