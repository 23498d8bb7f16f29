"""Runs a script as several ranks that find each other (gloo), as a launcher would."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_ranks(count: int, script: str, *arguments: str, logs: Path) -> None:
    """Run `script` as `count` ranks to their end; fail with their logs if one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [_start(rank, count, port, [script, *arguments], logs) for rank in range(count)]
    try:
        ended = [rank.wait(timeout=240) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert not any(ended), "\n".join(log.read_text() for log in logs.glob("*.log"))


def _start(
    rank: int, count: int, port: int, command: list[str], logs: Path
) -> "subprocess.Popen[bytes]":
    place = {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }  # fmt: skip
    with (logs / f"{rank}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, *command], env=os.environ | place, cwd=ROOT, stdout=log, stderr=log
        )
