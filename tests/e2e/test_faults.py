"""A learner that dies between any two of its critical points: the accounts still balance.

One run, one sampler, one scorer; for each point a life of the learner that dies there, then one
that goes on. The audit reads Redis' append-only file and the step records, never the ledger.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openrs_core.ring.connection import connect
from services.supervisor.redis_server import RedisServer
from tests.chaos import aof
from tests.chaos.audit import audit
from tests.chaos.history import read
from tests.conftest import wait_until
from tests.e2e.dying import POINTS
from tests.e2e.ring import ROOT, TOY, lines, sets, start

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

RUN, BOUND = "faults", 2
RECIPE = (
    "learner.steps=100000", "learner.groups_per_step=4", "learner.group_size=4",
    "learner.checkpoint_every=3", f"learner.max_staleness={BOUND}", "evaluation.every=100000",
    "evaluation.problems=1",
)  # fmt: skip


class FaultyRing:
    """Redis, a scorer and a sampler that stay; learners that come and go."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = RedisServer(directory / "redis")
        connect(self.server.url).config_set("auto-aof-rewrite-percentage", 0)
        os.environ["OPENRS_REDIS"] = self.server.url
        self._shared = ["--recipe", str(TOY), "--run", RUN, *sets(RECIPE)]
        self._others = [
            start(directory / f"{role}.log", role, *self._shared) for role in ("scorer", "sampler")
        ]

    def learner(self, *prefix: str) -> "subprocess.Popen[bytes]":
        """A life of the learner; with a prefix, under `tests.e2e.dying`."""
        module = ["-m", "tests.e2e.dying", *prefix] if prefix else ["-m", "services.cli"]
        command = [sys.executable, *module, "learner", *self._shared, "--runs", str(self.directory)]
        with (self.directory / "learner.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)

    @property
    def run(self) -> Path:
        return self.directory / RUN

    def close(self) -> None:
        for process in self._others:
            process.kill()
            process.wait()
        del os.environ["OPENRS_REDIS"]
        self.server.close()


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRing]:
    ring = FaultyRing(tmp_path_factory.mktemp("faults"))
    yield ring
    ring.close()


def check(ring: FaultyRing) -> None:
    """The accounts of everything so far."""
    found = audit(read(ring.run, ring.directory / "redis" / aof.DIRECTORY))
    assert found.faults == []
    assert found.balanced
    assert (found.missing, found.twice) == (0, 0)
    assert found.max_staleness <= BOUND
    assert found.in_flight <= (BOUND + 1) * 4
    assert found.trained == 4 * found.steps


@pytest.mark.parametrize("point", POINTS)
def test_a_learner_that_dies_there_loses_nothing_and_trains_nothing_twice(ring, point):
    """Each begins where the one before died, and dies the second time it comes to its point."""
    dying = ring.learner(point, "1" if point.startswith("resumed") else "2")
    assert dying.wait(120) == -signal.SIGKILL, (ring.directory / "learner.log").read_text()[-3000:]
    check(ring)


def test_after_them_all_a_learner_goes_on(ring):
    lives = len(lines(ring.run, "life"))
    healthy = ring.learner()
    wait_until(lambda: len(lines(ring.run, "life")) > lives, "the next life", 60)
    begun = lines(ring.run, "life")[-1]
    wait_until(lambda: steps_since(ring, begun) >= 8, "eight steps", 120)
    healthy.send_signal(signal.SIGTERM)
    assert healthy.wait(30) == 0
    check(ring)


def steps_since(ring: FaultyRing, life: dict[str, int]) -> int:
    return sum(step["incarnation"] == life["incarnation"] for step in lines(ring.run, "step"))
