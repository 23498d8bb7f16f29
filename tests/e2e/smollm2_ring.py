"""SmolLM2 in the real ring, and what the run left behind."""

import itertools
import json
import os
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrs_core.ring.connection import connect
from openrs_core.ring.keys import Keys
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import WeightsTaken
from services.toy.task import take
from tests.e2e.ring import command, lines, sets
from tests.smollm2 import RECIPE, ensure_smollm2


@dataclass(frozen=True)
class Run:
    """A finished run."""

    directory: Path
    steps: list[dict[str, Any]]
    published: list[dict[str, Any]]
    taken: list[WeightsTaken]

    @property
    def step_seconds(self) -> float:
        """Median wall time from one step to the next, without the first."""
        times = [line["time"] for line in self.steps]
        between = [later - earlier for earlier, later in itertools.pairwise(times)]
        return statistics.median(between)


def write_problems(directory: Path) -> Path:
    """Chain sums, as a file."""
    path = directory / "problems.jsonl"
    rows = [{"problem": p.problem, "answer": p.answer} for p in take("train", 4, 0, 400)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def overrides(directory: Path, *more: str) -> list[str]:
    """`--set` options that complete the recipe."""
    values = [f"model.path={ensure_smollm2()}", f"data.train={write_problems(directory)}", *more]
    return sets(values)


def run_ring(directory: Path, redis_url: str, name: str, *more: str) -> Run:
    """Run SmolLM2 in the ring to its end.

    Raises:
        subprocess.CalledProcessError: a process failed; a sampler that found other weights in
            vLLM than were published does.
    """
    words = ["up", str(RECIPE), "--run", name, "--runs", str(directory)]
    subprocess.run(
        command(*words, *overrides(directory, *more)), check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "OPENRS_REDIS": redis_url},
    )  # fmt: skip
    run, notes = directory / name, connect(redis_url).xrange(Keys(name).taken)
    taken = [decode(fields[b"body"], WeightsTaken) for _, fields in notes]
    return Run(run, lines(run, "step"), lines(run, "weights"), taken)
