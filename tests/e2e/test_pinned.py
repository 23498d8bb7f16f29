"""Real processes, killed while a policy is evaluated: its result is of that policy and no other.

The witness is Redis' append-only file: every group that was ever scored, with the policy that made
each token. What the record says of an evaluation is made up again from it.
"""

import re
import signal
from collections.abc import Iterator
from statistics import fmean

import pytest

from openrs_core.record.reader import read_record
from openrs_core.wire.messages import ScoredGroup
from tests.chaos.audit import audit
from tests.chaos.history import History, read
from tests.chaos.ring import Ring
from tests.conftest import wait_until
from tests.e2e.ring import QUICK, TOY, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

RECIPE = (
    *QUICK, "learner.steps=16", "learner.checkpoint_every=3", "learner.max_staleness=2",
    "evaluation.every=4", "evaluation.problems=60", "evaluation.samples=4",
)  # fmt: skip
BEGUN = re.compile(r"evaluating version (\d+):")


@pytest.fixture(scope="module")
def ring(tmp_path_factory) -> Iterator[Ring]:
    """A run whose sampler and whose learner were each killed within an evaluation."""
    runs = tmp_path_factory.mktemp("pinned")
    arguments = [str(TOY), *sets(RECIPE)]
    ring = Ring(runs, "run", arguments, runs / "up.log")
    try:
        for role, least in (("sampler", 4), ("learner", 8)):
            wait_until(lambda least=least: is_evaluating(ring, least), "an evaluation", 200)
            ring.send(role, signal.SIGKILL)
        assert ring.finish() == 0, ring.log.read_text()
        yield ring
    finally:
        ring.close()


def is_evaluating(ring: Ring, least: int) -> bool:
    """Is a version evaluated that is not lower? By the learner's log and its record."""
    ring.turn()
    log = ring.directory / "logs" / "learner.log"
    begun = [int(found) for found in BEGUN.findall(log.read_text())] if log.exists() else []
    done = {line.version for line in read_record(ring.directory).evaluations}
    return bool(begun) and begun[-1] >= least and begun[-1] not in done


@pytest.fixture(scope="module")
def history(ring) -> History:
    return read(ring.directory, ring.kept)


def answers(history: History, incarnation: int, version: int, mode: str) -> list[ScoredGroup]:
    """The groups of one evaluation, the first copy of each."""
    begin = f"eval.{incarnation}.{version}.held_out.{mode}."
    return [copies[0] for name, copies in history.scored.items() if name.startswith(begin)]


def test_every_token_of_an_evaluation_on_record_is_of_its_policy(ring, history):
    found = read_record(ring.directory).evaluations
    assert len(found) >= 6
    for line in found:
        groups = answers(history, line.incarnation, line.version, line.mode)
        made_by = {
            (run.incarnation, run.version)
            for group in groups
            for completion in group.rollout.completions
            for run in completion.policies
        }
        assert made_by == {(line.incarnation, line.version)}
        assert len(groups) == line.problems == 60
        shares = [fmean(s.verdict == "correct" for s in group.scores) for group in groups]
        assert line.accuracy == pytest.approx(fmean(shares))


def test_every_turn_was_evaluated_or_is_said_to_be_left_out(ring):
    record = read_record(ring.directory)
    found = {(line.version, line.mode) for line in record.evaluations}
    left_out = {line.version for line in record.unevaluated}
    turns = {0, 4, 8, 12, 16} - left_out
    assert found == {(version, mode) for version in turns for mode in ("sampled", "greedy")}
    assert {0, 16} <= turns
    assert len(record.lives) == 2


def test_the_learner_was_ahead_of_what_it_evaluated_and_kept_its_bound(ring, history):
    """Some versions were never published; no token was trained on beyond the bound."""
    record = read_record(ring.directory)
    published = {line.version for line in record.weights}
    assert {step.version for step in record.steps} - published
    accounts = audit(history)
    assert accounts.faults == []
    assert accounts.balanced
    assert (accounts.missing, accounts.twice) == (0, 0)
    assert accounts.max_staleness <= 2


def test_a_problem_is_drawn_with_the_same_seed_at_every_version(ring, history):
    seeds: dict[str, set[int | None]] = {}
    for name, copies in history.scored.items():
        if name.startswith("eval."):
            place = name.split(".", 3)[3]
            seeds.setdefault(place, set()).add(copies[0].rollout.prompt.sampling.seed)
    assert len(seeds) == 120
    assert all(len(found) == 1 and None not in found for found in seeds.values())
