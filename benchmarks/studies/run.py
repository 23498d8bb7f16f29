"""One arm with one seed: a real run of `openrs up`, and what came of it."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from statistics import fmean

from benchmarks.studies.results import LAST, Result
from benchmarks.studies.study import ROOT, Arm, Study
from openrs_core.record.lines import EvaluationLine, Scored, StepLine
from openrs_core.record.reader import read_record

ENDS = {0: "finished", 130: "stopped"}
"""What `openrs up`'s exit code says; 130: somebody stopped it."""

STOP_SECONDS = 60.0
"""From the signal to the end of every process."""


def run(study: Study, arm: Arm, seed: int, runs: Path) -> Result:
    """Run it to its end, or to the study's limit of time."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{study.name}-{arm.name}-{seed}".lower())
    directory = runs / name
    shutil.rmtree(directory, ignore_errors=True)
    begun = time.monotonic()
    ended = _up(study, arm, seed, runs, name)
    seconds = time.monotonic() - begun
    record = read_record(directory)
    if not record.evaluations:
        raise SystemExit(f"{name}: nothing was evaluated, see {runs / name}.log")
    steps, ended = record.steps, _reason(directory, runs, ended)
    shutil.rmtree(directory)
    return _result(study, arm, seed, ended, seconds, steps, record.evaluations)


def _up(study: Study, arm: Arm, seed: int, runs: Path, name: str) -> str:
    runs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "services.cli", "up", str(study.recipe)]
    command += ["--run", name, "--runs", str(runs)]
    command += [word for value in study.settings(arm, seed) for word in ("--set", value)]
    with (runs / f"{name}.log").open("w") as log:
        ring = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
    try:
        return ENDS.get(ring.wait(study.limit_seconds), "failed")
    except subprocess.TimeoutExpired:
        return "stopped"
    finally:
        _end(ring)


def _end(ring: "subprocess.Popen[bytes]") -> None:
    if ring.poll() is None:
        ring.send_signal(signal.SIGINT)
        try:
            ring.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(ring.pid, signal.SIGKILL)


def _reason(directory: Path, runs: Path, ended: str) -> str:
    """The learner's own words where it failed."""
    if ended != "failed":
        return ended
    lines = (runs / f"{directory.name}.log").read_text().splitlines()
    return next((line for line in reversed(lines) if line.strip()), ended)[:200]


def _result(  # noqa: PLR0913
    study: Study,
    arm: Arm,
    seed: int,
    ended: str,
    seconds: float,
    steps: Sequence[StepLine],
    evaluations: Sequence[EvaluationLine],
) -> Result:
    sampled = [e for e in evaluations if e.mode == "sampled"]
    last: list[Scored] = [step.scored for step in steps[-LAST:]]

    def by_step(value: Callable[[Scored], float | None]) -> tuple[float | None, ...]:
        return tuple(_short(value(step.scored)) for step in steps)

    return Result(
        arm=arm.name,
        seed=seed,
        digest=study.digest(arm, seed),
        ended=ended,
        steps=len(steps),
        seconds=round(seconds, 1),
        evaluations=tuple((e.version, round(e.accuracy, 4), round(e.tokens, 2)) for e in sampled),
        accuracy=by_step(lambda scored: scored.accuracy),
        tokens=by_step(lambda scored: scored.completion_tokens),
        truncated=by_step(lambda scored: scored.truncated),
        components=_means([dict(scored.components) for scored in last]),
        staleness=round(fmean([s.staleness_mean for s in steps] or [0.0]), 3),
        ess=round(min((s.ess for s in steps), default=1.0), 4),
        grad_norm=round(max((s.grad_norm for s in steps), default=0.0), 3),
        commit=_commit(),
        date=date.today().isoformat(),
        machine=f"{len(os.sched_getaffinity(0))} cores, {_processor()}",
    )


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _means(tables: Iterable[dict[str, float]]) -> dict[str, float]:
    rows = list(tables)
    names = sorted({name for row in rows for name in row})
    return {n: round(fmean([row[n] for row in rows if n in row]), 4) for n in names}


def _commit() -> str:
    """Of what was run; `-changed` where that is not what stands there."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "services", "openrs_core", "recipes")
    return git("rev-parse", "--short", "HEAD") + ("-changed" if changed else "")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
