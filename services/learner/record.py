"""What a run leaves behind for people and programs: the run directory, and Prometheus.

recipe.json     the resolved recipe
metrics.jsonl   one line per life of the learner (`"kind": "life"`), per step (`"step"`), per
                step that was not made (`"skipped"`), per evaluation (`"evaluation"`) and per
                publication of weights (`"weights"`)
samples.jsonl   one completion per step, to read
summary.json    the last line of the run
checkpoints/    see `checkpoints`
"""

import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from openrs_core import metrics
from openrs_core.ledger import Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.directory import write_whole
from openrs_core.wire.messages import WeightsManifest
from services.learner.admission import Collected
from services.learner.evaluation import Evaluated
from services.learner.guard import Skipped
from services.learner.trainer import StepStats


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one step, by part."""

    collect: float
    """Waiting for groups."""
    train: float
    publish: float


class Record:
    """The run directory."""

    def __init__(self, directory: Path, recipe: TrainingRecipe) -> None:
        self.directory, self._recipe = directory, recipe
        for name in ("metrics.jsonl", "samples.jsonl"):
            _cut_torn_line(directory / name)
        metrics.STEPS_WANTED.set(recipe.learner.steps)
        for reason in get_args(Skipped):
            if reason:  # from 0 on: Prometheus sees no increase in a series that begins with 1
                metrics.STEPS_SKIPPED.labels(reason)

    def life(self, policy: Policy) -> None:
        """A life of the learner begins with this policy; later steps of earlier lives are void."""
        line = {"kind": "life", "time": time.time(), **asdict(policy)}
        self._append("metrics.jsonl", line)

    @property
    def last_incarnation(self) -> int:
        """Of the latest life that began here; 0 before the first."""
        return max((line["incarnation"] for line in self._lines("life")), default=0)

    def has_evaluated(self, version: int) -> bool:
        """Is the evaluation of this version on record, in all its modes?"""
        found = {e["mode"] for e in self._lines("evaluation") if e["version"] == version}
        return found >= ({"sampled", "greedy"} if self._recipe.evaluation.greedy else {"sampled"})

    def step(
        self, made: Policy, groups: Sequence[Collected], stats: StepStats, lr: float, spent: Spent
    ) -> None:
        """One optimizer step, which made the version `made`."""
        drawn = [c for collected in groups for c in collected.group.rollout.completions]
        line = {
            "kind": "step", "time": time.time(), "version": made.version,
            "incarnation": made.incarnation,
            "reward": fmean(s.reward for c in groups for s in c.group.scores),
            "components": _components(groups),
            "accuracy": fmean(s.verdict == "correct" for c in groups for s in c.group.scores),
            "completion_tokens": fmean(len(completion.token_ids) for completion in drawn),
            "truncated": fmean(completion.finish_reason == "length" for completion in drawn),
            "staleness_max": max(collected.staleness for collected in groups),
            "staleness_mean": fmean(collected.staleness for collected in groups),
            "completions": len(drawn), "lr": lr, **_facts(stats), "seconds": asdict(spent),
            "groups": [_made_by(collected) for collected in groups],
        }  # fmt: skip
        self._append("metrics.jsonl", line)
        self._sample(made, groups[0])
        _observe(line, groups, stats, spent)

    def skipped(
        self, policy: Policy, groups: Sequence[Collected], stats: StepStats, reason: str
    ) -> None:
        """One step that was not made; the policy stays `policy`."""
        line = {
            "kind": "skipped", "time": time.time(), "version": policy.version,
            "incarnation": policy.incarnation, "reason": reason, "loss": _finite(stats.loss),
            "grad_norm": _finite(stats.grad_norm),
            "groups": [_made_by(collected) for collected in groups],
        }  # fmt: skip
        self._append("metrics.jsonl", line)
        metrics.STEPS_SKIPPED.labels(stats.skipped).inc()

    def evaluated(self, result: Evaluated) -> None:
        """One finished evaluation."""
        line = {"kind": "evaluation", "time": time.time(), **asdict(result)}
        self._append("metrics.jsonl", line)
        metrics.HELD_OUT.labels(result.mode).set(result.accuracy)

    def published(self, manifest: WeightsManifest) -> None:
        """One finished publication of weights."""
        line = {
            "kind": "weights", "time": manifest.published_at, "version": manifest.version,
            "incarnation": manifest.incarnation, "form": manifest.form, "size": manifest.size,
            "whole_size": manifest.whole_size, "values": manifest.values,
            "seconds": manifest.seconds,
        }  # fmt: skip
        self._append("metrics.jsonl", line)

    def summary(self, balance: dict[str, int], wall_seconds: float) -> dict[str, Any]:
        """The run in one line, from what was recorded; also kept as summary.json."""
        steps = self._steps()
        sampled = [e for e in self._lines("evaluation") if e["mode"] == "sampled"]
        first, last = (sampled[0], sampled[-1]) if sampled else ({}, {})
        found = {
            "held_out_before": first.get("accuracy"),
            "held_out_after": last.get("accuracy"),
            "problems": last.get("problems", 0),
            "steps": len(steps),
            "completions": sum(line["completions"] for line in steps),
            "max_staleness": max((_staleness(line) for line in steps), default=0),
            "staleness_bound": self._recipe.learner.max_staleness,
            "tokens_before": first.get("tokens"),
            "tokens_after": last.get("tokens"),
            "wall_seconds": round(wall_seconds, 1),
            "groups": balance,
        }
        write_whole(self.directory / "summary.json", json.dumps(found) + "\n")
        return found

    def _sample(self, made: Policy, collected: Collected) -> None:
        completion, score = collected.group.rollout.completions[0], collected.group.scores[0]
        prompt = collected.group.rollout.prompt
        self._append(
            "samples.jsonl",
            {
                "version": made.version, "prompt_id": prompt.prompt_id, "answer": prompt.answer,
                "text": completion.text, "verdict": score.verdict, "reward": score.reward,
            },
        )  # fmt: skip

    def _steps(self) -> list[dict[str, Any]]:
        """Those that made the present weights: not what a life lost with its checkpoint."""
        steps: list[dict[str, Any]] = []
        for line in self._lines("life", "step"):
            if line["kind"] == "step":
                steps.append(line)
            else:
                steps = [step for step in steps if step["version"] <= line["version"]]
        return steps

    def _lines(self, *kinds: str) -> list[dict[str, Any]]:
        path = self.directory / "metrics.jsonl"
        if not path.exists():
            return []
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return [line for line in lines if line["kind"] in kinds]

    def _append(self, name: str, line: dict[str, Any]) -> None:
        path = self.directory / name
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            error.filename = error.filename or str(path)  # a failed write does not say of what
            raise


def _cut_torn_line(path: Path) -> None:
    """Remove a last line that an earlier life did not finish; the next would be joined to it."""
    if not path.exists() or (written := path.read_bytes()).endswith(b"\n") or not written:
        return
    os.truncate(path, written.rfind(b"\n") + 1)


def _components(groups: Iterable[Collected]) -> dict[str, float]:
    scores = [score for collected in groups for score in collected.group.scores]
    return {name: fmean(s.components[name] for s in scores) for name in scores[0].components}


def _facts(stats: StepStats) -> dict[str, Any]:
    """Of a step that was made."""
    return {name: value for name, value in asdict(stats).items() if name != "skipped"}


def _finite(value: float) -> float | None:
    """JSON has no number for the others."""
    return value if math.isfinite(value) else None


def _made_by(collected: Collected) -> dict[str, Any]:
    """Which policies made a group, as the sampler recorded them: enough to audit staleness."""
    runs = [
        (run.incarnation, run.version)
        for completion in collected.group.rollout.completions
        for run in completion.policies
    ]
    return {
        "group_id": collected.issued.group_id,
        "position": collected.issued.position,
        "oldest": min(runs),
        "newest": max(runs),
        "staleness": collected.staleness,
    }


def _staleness(line: dict[str, Any]) -> int:
    """The worst staleness of a step, from the recorded versions of its tokens."""
    return max(int(group["staleness"]) for group in line["groups"])


def _observe(
    line: dict[str, Any], groups: Sequence[Collected], stats: StepStats, spent: Spent
) -> None:
    metrics.LEARNER_VERSION.set(line["version"])
    metrics.REWARD.set(line["reward"])
    for name, value in line["components"].items():
        metrics.REWARD_COMPONENT.labels(name).set(value)
    metrics.LENGTH.set(line["completion_tokens"])
    metrics.LOSS.set(stats.loss)
    metrics.GRAD_NORM.set(stats.grad_norm)
    metrics.ENTROPY.set(stats.entropy)
    metrics.MISMATCH_KL.set(stats.mismatch_kl)
    metrics.CLIPPED.set(stats.clipped)
    metrics.LEARNING_RATE.set(line["lr"])
    metrics.TOKENS_TRAINED.inc(stats.tokens)
    for collected in groups:
        metrics.STALENESS.observe(collected.staleness)
    for part, seconds in asdict(spent).items():
        metrics.STEP_SECONDS.labels(part).observe(seconds)
