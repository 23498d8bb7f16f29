"""What does evaluating cost while training goes on? `make bench-evaluation`. The last line is JSON.

The toy under `openrs up`, in turns: without an evaluation, with one every ten steps of which each
is of one policy (so newer ones are withheld), and, where `--drifting DIRECTORY` names a checkout of
an older openrs (commit 55f3c43), as it was done there: the training goes on publishing, and later
answers are of later policies. Three seeds, the arms interleaved.

Measured from the first step to the last, so the evaluations before and after are left out: steps
and tokens a second, the share of that time which the learner waits for groups; processor seconds of
the whole run, all processes and their start included.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STEPS = 30
BASE = (
    f"learner.steps={STEPS}", "learner.groups_per_step=8", "learner.group_size=8",
    "learner.max_staleness=2", "learner.checkpoint_every=1000",
)  # fmt: skip
EVALUATED = ("evaluation.every=10", "evaluation.problems=64", "evaluation.samples=2")
"""Two evaluations among the steps, of 192 completions each beside 640 of ten steps."""


@dataclass(frozen=True)
class Found:
    """One run."""

    arm: str
    seed: int
    steps_per_second: float
    tokens_per_second: float
    waiting: float
    """Share of the time in which the learner waits for groups."""
    cpu_seconds: float
    farthest: int
    """The most versions between the label of an evaluation and a policy that answered it."""


def main() -> None:
    """Every arm with every seed, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drifting", type=Path, help="a checkout of the older openrs")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    arms: dict[str, tuple[Path, tuple[str, ...]]] = {
        "none": (ROOT, ("data.held_out=",)),
        "pinned": (ROOT, EVALUATED),
    }
    if options.drifting:
        arms["drifting"] = (options.drifting.resolve(), EVALUATED)
    runs = []
    for seed in range(options.seeds):
        for arm, (tree, overrides) in arms.items():
            runs.append(run(arm, seed, tree, overrides))
            sys.stderr.write(f"{json.dumps(asdict(runs[-1]))}\n")
    means = {arm: mean_of([each for each in runs if each.arm == arm]) for arm in arms}
    print(json.dumps({"means": means, "runs": [asdict(each) for each in runs]}))


def run(arm: str, seed: int, tree: Path, overrides: tuple[str, ...]) -> Found:
    """One run of one arm."""
    sets = [w for each in (*BASE, f"seed={seed}", *overrides) for w in ("--set", each)]
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "services.cli", "up", "recipes/toy.toml", *sets]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        before = cpu_seconds()
        done = subprocess.run(
            [*command, "--run", "one", "--runs", runs],
            cwd=tree, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{arm}, seed {seed}: {done.stderr[-3000:]}")
        text = (Path(runs) / "one" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return measured(arm, seed, lines, cpu_seconds() - before)


def measured(arm: str, seed: int, lines: list[dict[str, Any]], cpu: float) -> Found:
    """What the record says; as plain JSON, since the older openrs has other fields."""
    steps = [line for line in lines if line["kind"] == "step"]
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    seconds = steps[-1]["time"] - steps[0]["time"]
    waited = sum(step["seconds"]["collect"] for step in steps[1:])
    return Found(
        arm=arm,
        seed=seed,
        steps_per_second=round((len(steps) - 1) / seconds, 4),
        tokens_per_second=round(sum(step["tokens"] for step in steps[1:]) / seconds, 1),
        waiting=round(waited / seconds, 3),
        cpu_seconds=round(cpu, 1),
        farthest=max((e.get("newest_version", e["version"]) - e["version"] for e in evaluations),
                     default=0),
    )  # fmt: skip


def cpu_seconds() -> float:
    """Of all processes that this one has waited for, and theirs."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def mean_of(runs: list[Found]) -> dict[str, float]:
    """Over seeds."""
    names = ("steps_per_second", "tokens_per_second", "waiting", "cpu_seconds", "farthest")
    return {name: round(statistics.fmean(getattr(r, name) for r in runs), 4) for name in names}


if __name__ == "__main__":
    main()
