"""Held-out accuracy through the same ring: evaluation prompts travel beside the training ones.

An evaluation of version v is begun when v is published and runs while training goes on, so later
tokens may be made by later versions; the record says by which. Before the first and after the
last step the learner waits for it, so those two are of one version exactly.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from openrs_core.ledger import Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.lines import EvaluationLine
from openrs_core.wire.messages import Prompt, Sampling, ScoredGroup
from services.issuing.problems import Problem

Mode = Literal["sampled", "greedy"]


@dataclass(slots=True)
class _Open:
    """An evaluation whose groups are not all back."""

    version: int
    mode: Mode
    expected: int
    groups: list[ScoredGroup] = field(default_factory=list)


class Evaluation:
    """What is to be evaluated, what is on its way, what came back."""

    def __init__(self, recipe: TrainingRecipe, problems: list[Problem]) -> None:
        self._recipe, self._problems = recipe, problems
        self._waiting: deque[Prompt] = deque()
        self._away: dict[str, _Open] = {}
        self._finished: list[EvaluationLine] = []

    @property
    def pending(self) -> bool:
        """Is an evaluation not finished?"""
        return bool(self._waiting or self._away)

    def due(self, version: int) -> bool:
        """Is it this version's turn?"""
        last = self._recipe.learner.steps
        return bool(self._problems) and (
            version % self._recipe.evaluation.every == 0 or version == last
        )

    def begin(self, reached: Policy, now: float) -> None:
        """Queue the prompts of an evaluation of the newest policy."""
        for mode, sampling in self._modes():
            evaluation = _Open(reached.version, mode, len(self._problems))
            for number, problem in enumerate(self._problems):
                group_id = f"eval.{reached.incarnation}.{reached.version}.{mode}.{number}"
                self._away[group_id] = evaluation
                prompt = Prompt(
                    group_id=group_id, prompt_id=problem.prompt_id, position=number, purpose="eval",
                    incarnation=reached.incarnation, issued_version=reached.version,
                    issued_at=now, token_ids=problem.token_ids,
                    thought_open=problem.thought_open, problem=problem.text,
                    answer=problem.answer, sampling=sampling,
                )  # fmt: skip
                self._waiting.append(prompt)

    def next_prompts(self, *, alone: bool) -> Iterable[Prompt]:
        """Prompts to issue now: all when nothing else runs, else a step's worth in flight."""
        rules = self._recipe.learner
        most = max(1, rules.groups_per_step * rules.group_size // self._recipe.evaluation.samples)
        flying = len(self._away) - len(self._waiting)
        while self._waiting and (alone or flying < most):
            flying += 1
            yield self._waiting.popleft()

    def arrive(self, group: ScoredGroup) -> None:
        """Take a group; when it is the last of its evaluation, the result is finished."""
        evaluation = self._away.pop(group.rollout.prompt.group_id)
        evaluation.groups.append(group)
        if len(evaluation.groups) == evaluation.expected:
            self._finished.append(_result(evaluation))

    def finished(self) -> list[EvaluationLine]:
        """The results that are new since the last call."""
        found, self._finished = self._finished, []
        return found

    def _modes(self) -> Iterable[tuple[Mode, Sampling]]:
        rules = self._recipe.evaluation
        longest = rules.max_tokens or self._recipe.sampler.max_tokens
        yield (
            "sampled",
            Sampling(temperature=rules.temperature, max_tokens=longest, group_size=rules.samples),
        )
        if rules.greedy:
            yield "greedy", Sampling(temperature=0.0, max_tokens=longest, group_size=1)


def _result(evaluation: _Open) -> EvaluationLine:
    groups = evaluation.groups
    drawn = [completion for group in groups for completion in group.rollout.completions]
    return EvaluationLine(
        version=evaluation.version,
        mode=evaluation.mode,
        accuracy=fmean(_share_correct(group) for group in groups),
        tokens=fmean(len(completion.token_ids) for completion in drawn) if drawn else 0.0,
        problems=len(groups),
        completions=len(drawn),
        unverified=sum(not score.is_verified for group in groups for score in group.scores),
        newest_version=max((run.version for c in drawn for run in c.policies), default=0),
    )


def _share_correct(group: ScoredGroup) -> float:
    """0 for a group that could not be sampled: it was not answered."""
    return fmean(score.verdict == "correct" for score in group.scores) if group.scores else 0.0
