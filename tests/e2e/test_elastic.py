"""Samplers come and go: one joins late, one is killed and started again, one stands still.

Real processes, the toy at a learning rate at which its weights change as sparsely as those of a
large model. Every sampler compares what vLLM holds with the published digest after each update.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openrs_core.ring.keys import Keys
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import WeightsManifest, WeightsTaken
from tests.conftest import wait_until
from tests.e2e.ring import QUICK, TOY, sets, start

pytestmark = [pytest.mark.e2e, pytest.mark.redis, pytest.mark.arithmetic, pytest.mark.timeout(400)]

RUN = "elastic"
REDELIVERY_SECONDS = 2
STANDSTILL_SECONDS = 5 * REDELIVERY_SECONDS
RECIPE = (
    *QUICK, "model.dtype=bfloat16", "learner.lr=1e-6", "sampler.check_weights=true",
    "sampler.max_sequences=32", "learner.steps=100000", "learner.snapshot_every=8",
    "evaluation.every=100000", "evaluation.problems=1", f"redelivery_seconds={REDELIVERY_SECONDS}",
)  # fmt: skip


class TheRing:
    """The processes of the run, and what they say of weights in Redis."""

    def __init__(self, directory: Path, redis_url: str, client: Any) -> None:
        self._directory, self._client = directory, client
        self._shared = ["--recipe", str(TOY), "--run", RUN, "--redis", redis_url, *sets(RECIPE)]
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, role: str, *more: str, name: str = "") -> "subprocess.Popen[bytes]":
        log = self._directory / f"{name or role}.log"
        names = ("--name", name) if name else ()
        self.processes.append(start(log, role, *self._shared, *names, *more))
        return self.processes[-1]

    def published(self) -> int:
        """The newest visible version; -1 before the first."""
        entries = self._client.xrevrange(Keys(RUN).manifests, count=1)
        return decode(entries[0][1][b"body"], WeightsManifest).version if entries else -1

    def notes(self, sampler: str) -> list[WeightsTaken]:
        """What a sampler has put in force, in order."""
        entries = self._client.xrange(Keys(RUN).taken)
        found = [decode(fields[b"body"], WeightsTaken) for _, fields in entries]
        return [note for note in found if note.sampler == sampler]

    def reaches(self, sampler: str, version: int) -> bool:
        notes = self.notes(sampler)
        return bool(notes) and notes[-1].version >= version

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in self._directory.glob("*.log"))


@pytest.fixture
def ring(tmp_path, redis_url, client) -> Iterator[TheRing]:
    ring = TheRing(tmp_path, redis_url, client)
    yield ring
    for process in ring.processes:
        process.kill()
        process.wait()


def test_each_sampler_reaches_the_newest_version_and_the_learner_waits_for_none(ring, tmp_path):
    ring.start("scorer")
    learner = ring.start("learner", "--runs", str(tmp_path))
    killed, still = ring.start("sampler", name="killed"), ring.start("sampler", name="still")
    for name in ("killed", "still"):
        wait_until(lambda name=name: ring.reaches(name, 2), f"{name} at version 2", 120)

    still.send_signal(signal.SIGSTOP)
    since, stopped_at = time.monotonic(), ring.published()
    ring.start("sampler", name="late")
    wait_until(lambda: ring.reaches("late", stopped_at), "the one that joins late", 120)
    killed.kill()
    killed.wait()
    killed_at = ring.published()
    ring.start("sampler", name="again")
    wait_until(lambda: ring.reaches("again", killed_at), "the one started again", 120)
    over = since + STANDSTILL_SECONDS
    wait_until(lambda: time.monotonic() > over, "the end of the standstill", 60)
    wait_until(lambda: ring.published() >= stopped_at + 9, "steps without the one that stands", 120)
    woken_at = ring.published()
    still.send_signal(signal.SIGCONT)

    for name in ("still", "late", "again"):
        wait_until(lambda name=name: ring.reaches(name, woken_at), f"{name} at the newest", 120)
    learner.send_signal(signal.SIGTERM)
    assert learner.wait(20) == 0, ring.logs()
    newest = ring.published()
    for name in ("still", "late", "again"):
        wait_until(lambda name=name: ring.reaches(name, newest), f"{name} at the very last", 60)
        versions = [note.version for note in ring.notes(name)]
        assert versions == sorted(set(versions)), "never back, never twice"
    assert "delta" in {note.form for note in ring.notes("again")}
    assert "refused" not in ring.logs()
    assert all(process.poll() in (None, 0) for process in ring.processes if process is not killed)
