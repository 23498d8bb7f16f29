"""The real processes, as a user starts them, and what their run leaves behind."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openrs_core.record.reader import RecordReader

ROOT = Path(__file__).parents[2]
TOY = ROOT / "recipes" / "toy.toml"

QUICK = ("learner.groups_per_step=4", "learner.group_size=4", "sampler.max_tokens=32")
"""Steps of a fraction of a second: most answers of the toy have fewer tokens than that."""

SHORT = (
    *QUICK, "learner.steps=6", "learner.checkpoint_every=3",
    "evaluation.problems=8", "evaluation.every=3",
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
