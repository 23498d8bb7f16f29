"""The real processes, as a user starts them, and what their run leaves behind."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openrs_core.record.reader import RecordReader

ROOT = Path(__file__).parents[2]
TOY = ROOT / "recipes" / "toy.toml"

SHORT = (
    "learner.steps=6", "learner.groups_per_step=4", "learner.group_size=4",
    "learner.checkpoint_every=3", "evaluation.problems=8", "evaluation.every=3",
)  # fmt: skip
"""A toy run of seconds."""


def sets(values: Iterable[str]) -> list[str]:
    """`--set` options."""
    return [word for value in values for word in ("--set", value)]


def command(*arguments: str) -> list[str]:
    """The openrs command of this interpreter."""
    return [sys.executable, "-m", "services.cli", *arguments]


def up(directory: Path, run: str, *overrides: str, recipe: Path = TOY, more: tuple[str, ...] = ()):
    """Run `openrs up` to its end."""
    values = overrides if recipe is not TOY else (*SHORT, *overrides)
    arguments = ["up", str(recipe), "--run", run, "--runs", str(directory), *sets(values), *more]
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=ROOT
    )


def start(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; its output goes to a file."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command(*arguments), stdout=file, stderr=file, cwd=ROOT, start_new_session=True
        )


def lines(directory: Path, kind: str) -> list[dict[str, Any]]:
    """The recorded steps or evaluations of a run."""
    return [asdict(line) for line in RecordReader(directory).follow() if line.kind == kind]


def session(leader: int) -> list[str]:
    """Command lines of the processes of a session that are alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, sid = stat.read_text().rpartition(")")[2].split()[:4]
            if int(sid) == leader and state != "Z":
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it ended while we looked
            continue
    return found


def processes_of(directory: Path) -> list[str]:
    """Command lines of living processes that mention a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_text().replace("\0", " ")
        except OSError:
            continue
        if str(directory) in text and path.parent.name != str(os.getpid()):
            found.append(text)
    return found
