"""Runs a script as several ranks that find each other (gloo), as a launcher would."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import wait_until

ROOT = Path(__file__).parents[1]


class Ranks:
    """Of one script; each with its log."""

    def __init__(self, count: int, logs: Path) -> None:
        from torch.distributed import TCPStore

        # The place where they meet is ours, as under torchrun: a port that rank 0 was to open
        # could be taken by then, and the others would wait for ever
        self._meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self._count, self._logs = count, logs
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, rank: int, *command: str, **environment: str) -> None:
        place = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self._count),
            "LOCAL_WORLD_SIZE": str(self._count), "PYTHONPATH": str(ROOT),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self._meeting.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }  # fmt: skip
        with self._path(rank).open("w") as log:
            self.processes[rank] = subprocess.Popen(
                [sys.executable, *command], env=os.environ | place | environment, cwd=ROOT,
                stdout=log, stderr=log,
            )  # fmt: skip

    def log(self, rank: int) -> str:
        return self._path(rank).read_text()

    @property
    def logs(self) -> str:
        return "\n".join(self.log(rank) for rank in self.processes)

    @property
    def codes(self) -> dict[int, int | None]:
        """Exit codes by rank, None of one that runs."""
        return {rank: process.poll() for rank, process in self.processes.items()}

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _path(self, rank: int) -> Path:
        return self._logs / f"{rank}.log"


def run_ranks(count: int, script: str, *arguments: str, logs: Path) -> None:
    """Run `script` as `count` ranks to their end; fail with their logs as soon as one fails."""
    ranks = Ranks(count, logs)
    for rank in range(count):
        ranks.start(rank, script, *arguments)
    try:
        wait_until(lambda: _ended(ranks), f"{count} ranks of {script}; their logs: {logs}", 240)
        failed = any(ranks.codes.values())
    finally:
        ranks.kill()
    assert not failed, ranks.logs


def _ended(ranks: Ranks) -> bool:
    """All have, or one has failed: the others may wait for it for ever."""
    codes = list(ranks.codes.values())
    return any(codes) or None not in codes
