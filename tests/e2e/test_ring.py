"""The whole ring with real processes: it trains, keeps its bound, stops cleanly, goes on."""

import functools
import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from openrs_core.ring.connection import connect
from openrs_core.ring.keys import Keys
from tests.conftest import wait_until
from tests.e2e.ring import ROOT, SHORT, TOY, command, lines, sets, start, up
from tests.processes import of_session, showing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

LONGER = (*SHORT, "learner.steps=30")
"""Steps enough that a stop falls among them, though each takes a fraction of a second."""

SUMMARY = {
    "held_out_before", "held_out_after", "problems", "steps", "completions", "max_staleness",
    "staleness_bound", "tokens_before", "tokens_after", "wall_seconds", "sets", "unevaluated",
}  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A toy run that went to its end."""

    directory: Path
    summary: dict
    left_over: list


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Callable[[int], Finished]:
    """The run with a staleness bound; each is made once."""

    @functools.cache
    def run(bound: int) -> Finished:
        directory = tmp_path_factory.mktemp(f"bound-{bound}")
        found = up(directory, "bounded", f"learner.max_staleness={bound}")
        assert found.returncode == 0, found.stderr
        summary = json.loads(found.stdout.splitlines()[-1])
        return Finished(directory / "bounded", summary, showing(directory))

    return run


@pytest.mark.parametrize("bound", [0, 1, 2, 4])
def test_no_token_is_trained_beyond_the_bound(finished, bound):
    """Read from the versions recorded with the tokens, not from what the ledger says of itself."""
    run = finished(bound)
    steps = lines(run.directory, "step")
    assert [step["version"] for step in steps] == list(range(1, 7))
    ages = [step["version"] - 1 - group["oldest"][1] for step in steps for group in step["groups"]]
    assert len(ages) == 6 * 4
    assert 0 <= min(ages) <= max(ages) <= bound
    assert set(run.summary) >= SUMMARY
    assert (run.summary["steps"], run.summary["max_staleness"]) == (6, max(ages))
    balance = dict(run.summary["groups"])
    assert balance.pop("issued") == sum(balance.values())
    assert run.left_over == []


def test_every_evaluation_is_recorded_with_its_version_or_as_left_out(finished):
    """A bound of 2 lets the learner come to the next turn while the evaluation before is open."""
    run = finished(2).directory
    found = {(e["version"], e["mode"]): e for e in lines(run, "evaluation")}
    left_out = {line["version"] for line in lines(run, "unevaluated")}
    versions = {0, 3, 6} - left_out
    assert {0, 6} <= versions
    assert set(found) == {(v, mode) for v in versions for mode in ("sampled", "greedy")}
    assert all((e["problems"], e["completions"]) == (8, 8) for e in found.values())


def test_the_best_policy_is_kept_with_its_figure(finished):
    """Its weights give what was measured: it is a checkpoint's policy, whole, and it loads."""
    run = finished(2).directory
    kept = json.loads((run / "checkpoints" / "best" / "evaluation.json").read_text())
    sampled = [e for e in lines(run, "evaluation") if e["mode"] == "sampled"]
    best = max(sampled, key=lambda e: (e["accuracy"], -e["version"]))
    assert kept == best
    assert AutoModelForCausalLM.from_pretrained(run / "checkpoints" / "best" / "model")


def metrics_of(directory, role: str) -> str:
    """What a process of a running ring serves to Prometheus."""
    targets = json.loads((directory / "targets.json").read_text())
    [address] = [t["targets"][0] for t in targets if t["labels"]["role"] == role]
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        return answer.read().decode()


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    """Ctrl-C, then --resume: no version and no place of the data order is missing or twice.

    Before the stop, every process serves metrics that have moved.
    """
    directory, log = tmp_path / "again", tmp_path / "up.log"
    arguments = ["up", str(TOY), "--run", "again", "--runs", str(tmp_path), *sets(LONGER)]
    process = start(log, *arguments)
    wait_until(lambda: len(lines(directory, "step")) >= 2, "two steps", seconds=200)
    for role, moved in (
        ("learner", r"openrs_ring_groups_ended_total\{how=\"trained\"\} [1-9]"),
        ("sampler", r"openrs_sampler_tokens_total [1-9]"),
        ("scorer", r"openrs_scorer_verdicts_total\{verdict=\"correct\"\} [1-9]"),
    ):
        assert re.search(moved, metrics_of(directory, role))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130, log.read_text()
    assert of_session(process.pid) == []
    state = json.loads((newest(directory) / "state.json").read_text())
    assert state["version"] == len(lines(directory, "step"))
    again = up(tmp_path, "again", *LONGER[len(SHORT) :], more=("--resume",))
    assert again.returncode == 0, again.stderr
    steps = lines(directory, "step")
    assert [step["version"] for step in steps] == list(range(1, 31))
    assert {step["incarnation"] for step in steps} == {1, 2}
    trained = [group["position"] for step in steps for group in step["groups"]]
    assert len(trained) == len(set(trained))
    flying = {group["position"] for group in state["ledger"]["in_flight"]}
    resumed = [group["position"] for group in steps[state["version"]]["groups"]]
    assert all(place in flying or place >= state["ledger"]["cursor"] for place in resumed)


def newest(directory):
    """The newest checkpoint of a run; nothing half-written is beside it."""
    found = sorted((directory / "checkpoints").iterdir())
    checkpoints = [path for path in found if path.name.startswith("step-")]
    assert [path.name for path in found if path not in checkpoints] in ([], ["best"])
    return checkpoints[-1]


def test_every_process_stops_cleanly_when_asked(tmp_path, redis_url):
    """SIGTERM to each by hand: exit code 0 within 10 seconds, no process left, nothing torn."""
    shared = ["--recipe", str(TOY), "--run", "by-hand", "--redis", redis_url]
    shared += sets((*SHORT, "learner.steps=1000"))
    ring = {
        role: start(tmp_path / f"{role}.log", role, *shared, *more)
        for role, more in {
            "scorer": [], "sampler": [], "learner": ["--runs", str(tmp_path)],
        }.items()
    }  # fmt: skip
    directory = tmp_path / "by-hand"
    wait_until(lambda: len(lines(directory, "step")) >= 2, "two steps", seconds=200)
    for role in ("learner", "sampler", "scorer"):
        ring[role].send_signal(signal.SIGTERM)
        assert ring[role].wait(10) == 0, (tmp_path / f"{role}.log").read_text()
        wait_until(
            lambda role=role: not of_session(ring[role].pid), f"no child of {role}", seconds=5
        )
    assert json.loads((newest(directory) / "state.json").read_text())["version"] >= 2


@pytest.mark.parametrize("role", ["sampler", "learner"])
def test_a_process_stops_at_once_while_it_is_still_loading(tmp_path, redis_url, role):
    """Models load for long; nobody should have to wait for that to stop."""
    run, log = f"loading-{role}", tmp_path / "log"
    more = ["--runs", str(tmp_path)] if role == "learner" else []
    process = start(log, role, "--recipe", str(TOY), "--run", run, "--redis", redis_url, *more)
    wait_until(lambda: connect(redis_url).exists(Keys(run).recipe), "the run's recipe")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0, log.read_text()
    assert of_session(process.pid) == []


def test_another_recipe_is_refused_by_name(tmp_path, redis_url):
    """A process that joins a run must hold the run's recipe."""
    shared = ["--recipe", str(TOY), "--run", "agreed", "--redis", redis_url]
    first = start(tmp_path / "scorer.log", "scorer", *shared)
    wait_until(lambda: connect(redis_url).exists(Keys("agreed").recipe), "the run's recipe")
    second = subprocess.run(
        command("scorer", *shared, "--set", "learner.lr=0.5"),
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert second.returncode == 2
    assert "learner.lr: 0.5 here, 0.0001 there" in second.stderr
    assert "Traceback" not in second.stderr
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0


def test_a_checkpoint_is_exported_as_a_model_that_loads(finished, tmp_path):
    """The exported directory stands alone: model, configuration, tokenizer."""
    target = tmp_path / "model"
    source = str(finished(2).directory)
    subprocess.run(command("export", source, str(target)), check=True, cwd=ROOT)
    model = AutoModelForCausalLM.from_pretrained(target)
    assert AutoTokenizer.from_pretrained(target).eos_token == "<|im_end|>"
    assert model.config.tie_word_embeddings
