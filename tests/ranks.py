"""Runs a script as several ranks that find each other (gloo), as a launcher would."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import wait_until

ROOT = Path(__file__).parents[1]


def run_ranks(count: int, script: str, *arguments: str, logs: Path) -> None:
    """Run `script` as `count` ranks to their end; fail with their logs as soon as one fails."""
    from torch.distributed import TCPStore

    # The place where they meet is ours, as under torchrun: a port that rank 0 was to open
    # could be taken by then, and the others would wait for ever
    meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    ranks = [_start(rank, count, meeting.port, [script, *arguments], logs) for rank in range(count)]
    try:
        wait_until(lambda: _ended(ranks), f"{count} ranks of {script}; their logs: {logs}", 240)
        failed = any(rank.poll() for rank in ranks)
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    assert not failed, "\n".join(log.read_text() for log in logs.glob("*.log"))


def _ended(ranks: list["subprocess.Popen[bytes]"]) -> bool:
    """All have, or one has failed: the others may wait for it for ever."""
    codes = [rank.poll() for rank in ranks]
    return any(codes) or None not in codes


def _start(
    rank: int, count: int, port: int, command: list[str], logs: Path
) -> "subprocess.Popen[bytes]":
    place = {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }  # fmt: skip
    with (logs / f"{rank}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, *command], env=os.environ | place, cwd=ROOT, stdout=log, stderr=log
        )
