"""What the learner puts on record, and the gauges that say the same to Prometheus.

The lines themselves are `openrs_core.record.lines`; here they are made of what a step was.
"""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from openrs_core import metrics
from openrs_core.ledger import Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.directory import SUMMARY, write_whole
from openrs_core.record.lines import (
    EvaluationLine,
    GroupOrigin,
    LifeLine,
    SampleLine,
    Scored,
    SkippedLine,
    Spent,
    StepLine,
    UnevaluatedLine,
    WeightsLine,
)
from openrs_core.record.reader import read_record
from openrs_core.record.writer import RecordWriter
from openrs_core.wire.messages import Score, WeightsManifest
from services.issuing.problems import Problems
from services.learner.admission import Collected
from services.learner.algorithm.schedule import learning_rate
from services.learner.step import SkipReason, StepStats


class Recorder:
    """Writes the record of one run."""

    def __init__(
        self, directory: Path, recipe: TrainingRecipe, train: Problems | None = None
    ) -> None:
        """`train`: the problems that are trained on."""
        self._directory, self._recipe, self._train = directory, recipe, train
        self._writer = RecordWriter(directory)
        metrics.STEPS_WANTED.set(recipe.learner.steps)
        for reason in get_args(SkipReason):
            if reason:  # from 0 on: Prometheus sees no increase in a series that begins with 1
                metrics.STEPS_SKIPPED.labels(reason)

    @property
    def last_incarnation(self) -> int:
        """Of the latest life that began here; 0 before the first."""
        return read_record(self._directory).last_incarnation

    def settled(self) -> set[int]:
        """Versions that were evaluated, or of which is known that they never will be."""
        record, modes = read_record(self._directory), ("sampled", "greedy")
        wanted = {(s.name, mode) for s in self._recipe.evaluated for mode in modes[: 1 + s.greedy]}
        parts: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for line in record.evaluations:
            parts[line.version].add((line.set, line.mode))
        evaluated = {version for version, found in parts.items() if found >= wanted}
        return evaluated | {line.version for line in record.unevaluated}

    def life(self, policy: Policy) -> None:
        """A life of the learner begins with this policy."""
        train = self._train
        line = LifeLine(
            incarnation=policy.incarnation, version=policy.version,
            problems=None if train is None else len(train),
            too_long=0 if train is None else train.too_long,
        )  # fmt: skip
        self._writer.add(line)

    def step(
        self,
        made: Policy,
        groups: Sequence[Collected],
        stats: StepStats,
        scored: Scored,
        spent: Spent,
    ) -> None:
        """One optimizer step, which made the policy `made`; `scored` since the one before."""
        line = self._step_line(made, groups, stats, scored, spent)
        self._writer.add(line)
        self._writer.sample(_sample(made, groups[0]))
        _observe(line)

    def skipped(
        self, policy: Policy, groups: Sequence[Collected], stats: StepStats, reason: str
    ) -> None:
        """One step that was not made; the policy stays `policy`."""
        line = SkippedLine(
            version=policy.version,
            incarnation=policy.incarnation,
            reason=reason,
            loss=_finite(stats.loss),
            grad_norm=_finite(stats.grad_norm),
            groups=tuple(map(_origin, groups)),
        )
        self._writer.add(line)
        metrics.STEPS_SKIPPED.labels(stats.skipped).inc()

    def evaluated(self, line: EvaluationLine) -> None:
        """One part of a finished evaluation."""
        self._writer.add(line)
        metrics.HELD_OUT.labels(line.set, line.mode).set(line.accuracy)
        metrics.HELD_OUT_TRUNCATED.labels(line.set, line.mode).set(line.truncated)

    def unevaluated(self, version: int, reason: str) -> None:
        """A version whose turn it was, and that is not evaluated."""
        self._writer.add(UnevaluatedLine(version=version, reason=reason))
        metrics.UNEVALUATED.inc()

    def published(self, manifest: WeightsManifest) -> None:
        """One finished publication of weights."""
        line = WeightsLine(
            time=manifest.published_at, version=manifest.version,
            incarnation=manifest.incarnation, form=manifest.form, size=manifest.size,
            whole_size=manifest.whole_size, values=manifest.values, seconds=manifest.seconds,
        )  # fmt: skip
        self._writer.add(line)

    def _step_line(
        self,
        made: Policy,
        groups: Sequence[Collected],
        stats: StepStats,
        scored: Scored,
        spent: Spent,
    ) -> StepLine:
        drawn = [c for collected in groups for c in collected.group.rollout.completions]
        scores = [s for collected in groups for s in collected.group.scores if s.is_verified]
        facts = {name: value for name, value in asdict(stats).items() if name != "skipped"}
        return StepLine(
            version=made.version,
            incarnation=made.incarnation,
            reward=fmean(score.reward for score in scores),
            components=_components(scores),
            accuracy=fmean(score.verdict == "correct" for score in scores),
            completion_tokens=fmean(len(completion.token_ids) for completion in drawn),
            truncated=fmean(completion.finish_reason == "length" for completion in drawn),
            staleness_max=max(collected.staleness for collected in groups),
            staleness_mean=fmean(collected.staleness for collected in groups),
            completions=len(drawn),
            lr=learning_rate(made.version - 1, self._recipe.learner),
            **facts,
            scored=scored,
            seconds=spent,
            groups=tuple(map(_origin, groups)),
        )

    def summary(self, balance: dict[str, int], wall_seconds: float) -> dict[str, Any]:
        """The run in one line, from what was recorded; also kept as summary.json.

        What is held out is the first set, sampled; `sets` has them all.
        """
        record, recipe = read_record(self._directory), self._recipe
        sets = {each.name: _sampled(record.evaluations, each.name) for each in recipe.evaluated}
        evaluated = next(iter(sets.values()), [])
        first, last = (evaluated[0], evaluated[-1]) if evaluated else (None, None)
        found = {
            "held_out_before": first and first.accuracy,
            "held_out_after": last and last.accuracy,
            "problems": last.problems if last else 0,
            "steps": len(record.steps),
            "completions": sum(step.completions for step in record.steps),
            "max_staleness": max(map(_staleness, record.steps), default=0),
            "staleness_bound": recipe.learner.max_staleness,
            "tokens_before": first and first.tokens,
            "tokens_after": last and last.tokens,
            "wall_seconds": round(wall_seconds, 1),
            "groups": balance,
            "sets": {
                name: {"before": found[0].accuracy, "after": found[-1].accuracy}
                for name, found in sets.items()
                if found
            },
            "unevaluated": [line.version for line in record.unevaluated],
        }
        write_whole(self._directory / SUMMARY, json.dumps(found) + "\n")
        return found


def _sampled(lines: Sequence[EvaluationLine], name: str) -> list[EvaluationLine]:
    return [line for line in lines if (line.set, line.mode) == (name, "sampled")]


def _sample(made: Policy, collected: Collected) -> SampleLine:
    completion, score = collected.group.rollout.completions[0], collected.group.scores[0]
    prompt = collected.group.rollout.prompt
    return SampleLine(
        version=made.version, prompt_id=prompt.prompt_id, answer=prompt.answer,
        text=completion.text, verdict=score.verdict, reward=score.reward,
    )  # fmt: skip


def _components(scores: Sequence[Score]) -> dict[str, float]:
    return {name: fmean(s.components[name] for s in scores) for name in scores[0].components}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _origin(collected: Collected) -> GroupOrigin:
    runs = [
        (run.incarnation, run.version)
        for completion in collected.group.rollout.completions
        for run in completion.policies
    ]
    return GroupOrigin(
        group_id=collected.issued.group_id, position=collected.issued.position,
        oldest=min(runs), newest=max(runs), staleness=collected.staleness,
    )  # fmt: skip


def _staleness(step: StepLine) -> int:
    """The worst staleness of a step, from the recorded versions of its tokens."""
    return max(group.staleness for group in step.groups)


def _observe(line: StepLine) -> None:
    metrics.LEARNER_VERSION.set(line.version)
    metrics.REWARD.set(line.reward)
    for name, value in line.components.items():
        metrics.REWARD_COMPONENT.labels(name).set(value)
    metrics.LENGTH.set(line.completion_tokens)
    metrics.LOSS.set(line.loss)
    metrics.GRAD_NORM.set(line.grad_norm)
    metrics.ENTROPY.set(line.entropy)
    metrics.MISMATCH_KL.set(line.mismatch_kl)
    metrics.CLIPPED.labels("positive").set(line.clipped_positive)
    metrics.CLIPPED.labels("negative").set(line.clipped_negative)
    metrics.OUTSIDE.set(line.outside)
    metrics.ESS.set(line.ess)
    metrics.LEARNING_RATE.set(line.lr)
    metrics.TOKENS_TRAINED.inc(line.tokens)
    _observe_scored(line.scored)
    for group in line.groups:
        metrics.STALENESS.observe(group.staleness)
    for part, seconds in asdict(line.seconds).items():
        metrics.STEP_SECONDS.labels(part).observe(seconds)


def _observe_scored(scored: Scored) -> None:
    for outcome, count in scored.groups.items():
        metrics.GROUPS_SCORED.labels(outcome).inc(count)
    for verdict, count in scored.completions.items():
        metrics.TRAINING_VERDICTS.labels(verdict).inc(count)
    for gauge, value in (
        (metrics.SCORED_REWARD, scored.reward),
        (metrics.SCORED_ACCURACY, scored.accuracy),
        (metrics.SCORED_TRUNCATED, scored.truncated),
        (metrics.SCORED_LANGUAGE, scored.language),
    ):
        if value is not None:
            gauge.set(value)
