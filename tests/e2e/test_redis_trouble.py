"""Redis is not there yet, is killed, is emptied, is full: the same processes go on."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openrs_core.ring.connection import connect
from services.supervisor.redis_server import RedisServer
from tests.conftest import wait_until
from tests.e2e.ring import SHORT, TOY, lines, sets, start

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

RECIPE = (*SHORT, "learner.steps=100000", "evaluation.every=100000", "evaluation.problems=1",
          "learner.checkpoint_every=1000")  # fmt: skip


class TheRing:
    """Three processes by hand that live as long as the test."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.run = directory, directory / "trouble"
        self.server = RedisServer(directory / "redis")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        os.environ["OPENRS_REDIS"] = self.server.url
        shared = ["--recipe", str(TOY), "--run", "trouble", *sets(RECIPE)]
        for role in ("scorer", "sampler", "learner"):
            more = ["--runs", str(self.directory)] if role == "learner" else []
            self.processes[role] = start(self.directory / f"{role}.log", role, *shared, *more)
        del os.environ["OPENRS_REDIS"]

    def log(self, role: str) -> str:
        return (self.directory / f"{role}.log").read_text()

    @property
    def redis(self) -> Any:
        return connect(self.server.url)

    def kill_redis(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        wait_until(lambda: self.server.exit_code is not None, "the end of Redis")

    def revive_redis(self) -> None:
        before = self.server.pid

        def is_back() -> bool:
            self.server.look()
            return self.server.pid != before

        wait_until(is_back, "another life of Redis")

    def makes_steps(self, count: int = 3) -> None:
        """Wait for so many more, by the very same processes."""
        before = len(lines(self.run, "step"))
        wait_until(lambda: len(lines(self.run, "step")) >= before + count, "more steps", 150)
        assert all(process.poll() is None for process in self.processes.values())

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.server.close()


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[TheRing]:
    ring = TheRing(tmp_path)
    yield ring
    ring.close()


def test_the_ring_outlives_every_trouble_of_its_redis(ring):
    ring.kill_redis()
    ring.start()
    for role in ring.processes:
        wait_until(lambda r=role: "waiting for Redis at unix:" in ring.log(r), f"{role} waits", 90)
    ring.revive_redis()
    ring.makes_steps()

    ring.kill_redis()
    ring.revive_redis()
    ring.makes_steps()

    ring.redis.flushall()
    ring.makes_steps()

    ring.redis.config_set("maxmemory", 1)
    wait_until(lambda: "Redis is full" in ring.log("learner"), "a word about it", 60)
    ring.redis.config_set("maxmemory", 0)
    ring.makes_steps()

    versions = [step["version"] for step in lines(ring.run, "step")]
    assert versions == list(range(1, len(versions) + 1)), "no step is lost, none is made twice"
    trained = [group["position"] for step in lines(ring.run, "step") for group in step["groups"]]
    assert len(trained) == len(set(trained))


def test_a_learner_that_is_stopped_while_redis_is_away_writes_its_checkpoint(ring):
    ring.start()
    ring.makes_steps()
    ring.kill_redis()
    wait_until(lambda: "waiting for Redis" in ring.log("learner"), "the learner waits", 60)
    before = len(lines(ring.run, "step"))
    ring.processes["learner"].send_signal(signal.SIGTERM)
    assert ring.processes["learner"].wait(20) == 0, ring.log("learner")
    [checkpoint] = (ring.run / "checkpoints").glob("step-*")
    made = len(lines(ring.run, "step"))
    assert made - before <= 1  # the step under way is still finished
    assert checkpoint.name == f"step-{made:06d}"
    assert "Traceback" not in ring.log("learner")
