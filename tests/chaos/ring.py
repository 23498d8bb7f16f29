"""A ring under `openrs up`, seen from outside: its processes, how far it is, what it wrote."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from openrs_core.ring.connection import connect
from tests.chaos import aof
from tests.chaos.history import Line, lineage

ROOT = Path(__file__).parents[2]
ROLES = ("sampler", "scorer", "learner", "redis")


class Ring:
    """One run."""

    def __init__(
        self, runs: Path, run: str, arguments: Sequence[str], log: Path, *, keep: bool = True
    ) -> None:
        """`keep` the append-only file whole: it then grows by all that is written."""
        self._keep = keep
        self.directory, self.log, self.kept = runs / run, log, runs / f"{run}-aof"
        command = [sys.executable, "-m", "services.cli", "up", *arguments]
        with log.open("ab") as file:
            self._up = subprocess.Popen(
                [*command, "--run", run, "--runs", str(runs)], cwd=ROOT, stdout=file, stderr=file
            )
        self._metrics, self._size, self._lines = self.directory / "metrics.jsonl", -1, []

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._up.poll()

    @property
    def steps(self) -> list[Line]:
        """Those that made the present weights."""
        size = self._metrics.stat().st_size if self._metrics.exists() else -1
        if size != self._size:
            whole = self._metrics.read_bytes().rpartition(b"\n")[0].splitlines()
            self._size, self._lines = size, [json.loads(line) for line in whole]
        return lineage(self._lines)

    def pid(self, role: str) -> int | None:
        """The process that plays a role now."""
        for child in psutil.Process(self._up.pid).children():
            try:
                words = child.cmdline()
            except psutil.Error:  # it ended while we looked
                continue
            if _plays(words, role) and child.status() != psutil.STATUS_ZOMBIE:
                return int(child.pid)
        return None

    def keep_file(self) -> None:
        """Keep the append-only file whole, and out of the way of who removes it at the end."""
        source = self.directory / "redis" / aof.DIRECTORY
        if not self._keep or not source.exists():
            return
        aof.keep(source, self.kept)
        address = self.directory / "redis" / "url"
        try:
            connect(address.read_text().strip(), answer_seconds=1.0).config_set(
                "auto-aof-rewrite-percentage", 0
            )
        except Exception:  # noqa: BLE001  it is dead, or not there yet: again at the next turn
            return

    def send(self, role: str, number: signal.Signals) -> float:
        """Send a signal to a role once it is played; the time of it."""
        while (pid := self.pid(role)) is None:
            self.turn()
        os.kill(pid, number)
        return time.time()

    def turn(self, seconds: float = 0.05) -> None:
        """Let some time pass.

        Raises:
            RuntimeError: the run is over.
        """
        if self.exit_code is not None:
            raise RuntimeError(f"openrs up ended with {self.exit_code}; see {self.log}")
        self.keep_file()
        time.sleep(seconds)

    def finish(self) -> int:
        """Wait for the end of the run."""
        while self.exit_code is None:
            self.keep_file()
            time.sleep(0.2)
        return self.exit_code

    def close(self) -> None:
        """Leave nothing running."""
        if self.exit_code is None:
            self._up.terminate()
            self._up.wait(60)


def _plays(words: list[str], role: str) -> bool:
    if role == "redis":  # it writes its address over its arguments
        return any(name in "".join(words[:1]) for name in ("redis-server", "valkey-server"))
    return "services.cli" in words and role in words
