"""A model that was trained is better than it was, and says so; one that was not, is not."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.ring import ROOT, TOY, command, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HELD_OUT = ("--benchmarks", "toy", "--problems", "64", "--samples", "4", "--recipe", str(TOY))


def openrs(*arguments: str) -> str:
    found = subprocess.run(command(*arguments), capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    return found.stdout


def verdict(evals: Path, *names: str) -> list[str]:
    found = json.loads(openrs("compare", *(str(evals / name) for name in names), "--json"))
    return [each["verdict"] for each in found["comparisons"]]


def test_the_toy_is_better_after_its_training_and_no_different_with_another_seed(tmp_path):
    trained = up(
        tmp_path, "trained", "learner.groups_per_step=16", "learner.group_size=8",
        "learner.steps=20", "learner.checkpoint_every=20", "evaluation.every=20",
        "sampler.max_tokens=96",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    evals = tmp_path / "evals"
    kept = ("--evals", str(evals))
    openrs("eval", "toy", *HELD_OUT, *kept, "--run", "before")
    openrs("eval", "toy", *HELD_OUT, *kept, "--run", "again", "--set", "eval.seed=1")
    openrs("eval", "trained", "--runs", str(tmp_path), *HELD_OUT, *kept, "--run", "after")
    assert verdict(evals, "before", "after") == ["better"]
    assert verdict(evals, "before", "again") == ["no difference"]
