"""The ring with a learning rate of 0: what sampler and learner differ by."""

import json
import subprocess

import pytest

from services.supervisor.drift import ROUNDING
from tests.e2e.ring import QUICK, ROOT, TOY, command, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


def test_sampler_and_learner_of_the_toy_compute_the_same_and_no_run_is_left(tmp_path):
    """More steps than the staleness bound: had the policy moved, the last would show it."""
    found = subprocess.run(
        command("drift", str(TOY), "--steps", "5", "--runs", str(tmp_path), *sets(QUICK)),
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    measured = json.loads(found.stdout)
    assert measured["steps"] == 5
    assert 0 < measured["log_ratio_mean"] <= ROUNDING["float32"]
    assert measured["log_ratio_mean"] <= measured["log_ratio_max"]
    assert found.stderr.count("|log ratio| mean ") == 5
    assert "sampler and learner compute the same model: over " in found.stderr
    assert list(tmp_path.iterdir()) == []
