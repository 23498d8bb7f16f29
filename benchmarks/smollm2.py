"""`python -m benchmarks.smollm2`: a real language model gets better by RL on two CPU cores.

    the model and the problems are made, if they are not there
    openrs eval     the model, on problems that are held out
    openrs up       trains it
    openrs eval     what came of it, on the same problems with the same random numbers
    openrs compare  says whether it got better; only then is the exit code 0

Each step is made once: what was stopped goes on where it was when this is begun again. Not done:
anything about how to get the last point out of the model. It is to be small, and quick.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import get_args

from openrs_core.record.directory import SUMMARY
from services.evaluator.result import RESULT, read_result
from tests.smollm2 import ensure_smollm2
from tests.word_problems import Kind, Split, write_problems

RECIPE = Path("recipes/smollm2.toml")
COUNTS: dict[Split, int] = {"train": 4000, "held_out": 200}
SAMPLES = 4
"""Of each held-out problem."""


def main(seed: int, directory: Path, overrides: Sequence[str]) -> int:
    """All steps; 0 when the model is better afterwards."""
    name, runs, evals = f"smollm2-{seed}", directory / "runs", directory / "evals"
    model, words = ensure_smollm2(), directory / f"words-{seed}"
    write_problems(words, seed, COUNTS)
    data = [f"data.{split}={words / split}.jsonl" for split in COUNTS]
    values = [f"model.path={model}", f"seed={seed}", *data, *overrides]
    ours = [word for value in values for word in ("--set", value)]
    before, after = evals / f"{name}-before", evals / f"{name}-after"
    steps = (
        (before / RESULT, ["eval", str(model), *_asked(words, before)]),
        (runs / name / SUMMARY, ["up", str(RECIPE), "--run", name, "--runs", str(runs), *ours]),
        (after / RESULT, ["eval", str(runs / name), *_asked(words, after)]),
    )
    for result, command in steps:
        if code := _made(result, command):
            return code
    for line in by_kind(words, before, after):
        _say(line)
    return _judged(before, after)


def by_kind(words: Path, before: Path, after: Path) -> Iterator[str]:
    """Accuracy before and after, of the problems of each kind."""
    rows = [json.loads(line) for line in (words / "held_out.jsonl").read_text().splitlines()]
    kinds = [row["kind"] for row in rows]  # in the order of the file, as the results
    results = [read_result(each).sets[0].by_problem for each in (before, after)]
    for kind in get_args(Kind):
        chosen = [[p for p, k in zip(r, kinds, strict=True) if k == kind] for r in results]
        shares = [100 * fmean(p.correct / p.samples for p in each) for each in chosen]
        yield f"{kind}: {shares[0]:.1f} to {shares[1]:.1f} % ({len(chosen[0])} problems)"


def _asked(words: Path, evaluation: Path) -> list[str]:
    """How both evaluations are made."""
    return [
        "--recipe", str(RECIPE), "--benchmarks", "held_out", "--data-dir", str(words),
        "--samples", str(SAMPLES), "--samplers", "2",
        "--evals", str(evaluation.parent), "--run", evaluation.name,
    ]  # fmt: skip


def _made(result: Path, command: list[str]) -> int:
    """Make a step, or go on with it, unless it is made; the exit code."""
    if result.exists():
        _say(f"{result.parent} is there")
        return 0
    if result.parent.exists():
        command = [*command, "--resume"]
    _say(f"openrs {' '.join(command)}")
    begun = time.monotonic()
    signal.signal(signal.SIGINT, lambda *_: None)  # the step has it too, and stops in order
    code = subprocess.run(_openrs(*command), stdout=subprocess.DEVNULL, check=False).returncode
    _say(f"{time.monotonic() - begun:.0f} s, exit code {code}")
    return code


def _judged(before: Path, after: Path) -> int:
    """Show the comparison; 0 if it says that the model is better."""
    sys.stdout.flush()
    subprocess.run(_openrs("compare", str(before), str(after)), check=True)
    said = subprocess.check_output(_openrs("compare", str(before), str(after), "--json"))
    verdicts = {each["verdict"] for each in json.loads(said)["comparisons"]}
    return 0 if verdicts == {"better"} else 1


def _openrs(*words: str) -> list[str]:
    return [sys.executable, "-m", "services.cli", *words]


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the problems and of the run")
    parser.add_argument("--directory", type=Path, default=Path("runs/smollm2-demo"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    chosen = parser.parse_args()
    sys.exit(main(chosen.seed, chosen.directory, chosen.overrides))
