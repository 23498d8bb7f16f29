"""Held-out accuracy through the same ring: evaluation prompts travel beside the training ones.

An evaluation is of one policy: while it is open, no newer one is published, and what another policy
made is refused. It has parts, one for each set of problems and each mode; their prompts are mixed,
so that all parts end together. Prompts have seeds of their own, the same at every version: two
versions are compared on the same random numbers.
"""

import logging
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Literal

from openrs_core.errors import ProtocolError
from openrs_core.ledger import Policy
from openrs_core.recipe.evaluation import EvaluationSet
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.lines import EvaluationLine
from openrs_core.wire.messages import Prompt, Sampling, ScoredGroup
from services.issuing.problems import Problem, Problems

logger = logging.getLogger(__name__)

Mode = Literal["sampled", "greedy"]


@dataclass(frozen=True, slots=True)
class _Part:
    """One set in one mode."""

    set: str
    mode: Mode
    sampling: Sampling
    """But for the seed, which each problem has of its own."""
    problems: list[Problem]
    too_long: int


@dataclass(frozen=True, slots=True)
class _Answered:
    """What came back for one problem."""

    completions: int
    correct: int
    truncated: int
    unverified: int
    tokens: int

    @property
    def share(self) -> float:
        """Of its completions that are correct: 0 where none could be sampled."""
        return self.correct / self.completions if self.completions else 0.0


@dataclass(slots=True)
class _Open:
    """An evaluation whose groups are not all back."""

    policy: Policy
    waiting: deque[Prompt]
    away: dict[str, _Part]
    """By group id, those that wait too."""
    answered: dict[str, list[_Answered]] = field(default_factory=dict)
    """By set and mode."""
    flying: int = 0
    """Completions that were asked for and are not back."""


class Evaluation:
    """What is to be evaluated, what is on its way, what came back; one policy at a time."""

    def __init__(self, recipe: TrainingRecipe, held_out: Mapping[str, Problems]) -> None:
        """`held_out`: the problems of each set, by name."""
        self._recipe = recipe
        self._parts = [
            part
            for rules in recipe.evaluated
            if held_out[rules.name]
            for part in _parts(recipe, rules, held_out)
        ]
        self._open: _Open | None = None
        self._finished: list[EvaluationLine] = []

    @property
    def policy(self) -> Policy | None:
        """The policy that is being evaluated; None: none."""
        return self._open.policy if self._open else None

    def due(self, version: int) -> bool:
        """Is it this version's turn?"""
        last = self._recipe.learner.steps
        return bool(self._parts) and (
            version % self._recipe.evaluation.every == 0 or version == last
        )

    def begin(self, policy: Policy, now: float) -> None:
        """Queue the prompts of an evaluation of this policy; `now` is Unix time, seconds.

        Raises:
            ProtocolError: another one is open.
        """
        if self._open:
            raise ProtocolError(f"{policy} is to be evaluated, but {self.policy} still is")
        away: dict[str, _Part] = {}
        mixed: list[tuple[float, Prompt]] = []
        for part in self._parts:
            for number, problem in enumerate(part.problems):
                prompt = self._prompt(part, number, problem, policy, now)
                away[prompt.group_id] = part
                mixed.append(((number + 0.5) / len(part.problems), prompt))
        mixed.sort(key=lambda placed: placed[0])
        self._open = _Open(policy, deque(prompt for _, prompt in mixed), away)
        logger.info("evaluating version %d: %d prompts", policy.version, len(mixed))

    def next_prompts(self, published: Policy, most: int | None) -> Iterator[Prompt]:
        """Prompts to issue now; none before samplers can see the policy that is evaluated.

        `most`: completions of the evaluation that may be in flight (one prompt's are in any case);
        None: all.
        """
        if not self._open or published != self._open.policy:
            return
        waiting = self._open.waiting
        while waiting:
            flying = self._open.flying + waiting[0].sampling.group_size
            if self._open.flying and most is not None and flying > most:
                return
            self._open.flying = flying
            yield waiting.popleft()

    def arrive(self, group: ScoredGroup) -> None:
        """Take a group; when it is the last of its evaluation, the results are finished.

        Raises:
            ProtocolError: no evaluation is open.
        """
        if not self._open:
            raise ProtocolError(f"group {group.rollout.prompt.group_id} is of no open evaluation")
        prompt = group.rollout.prompt
        part = self._open.away.pop(prompt.group_id)
        self._open.flying -= prompt.sampling.group_size
        self._open.answered.setdefault(_key(part), []).append(_answered(group))
        if not self._open.away:
            self._finished = [_line(part, self._open) for part in self._parts]
            self._open = None

    def finished(self) -> list[EvaluationLine]:
        """The results that are new since the last call: of all parts, or none."""
        found, self._finished = self._finished, []
        return found

    def _prompt(
        self, part: _Part, number: int, problem: Problem, policy: Policy, now: float
    ) -> Prompt:
        version = f"{policy.incarnation}.{policy.version}"
        sampling = replace(part.sampling, seed=_seed(self._recipe.seed, part.set, problem))
        return Prompt(
            group_id=f"eval.{version}.{_key(part)}.{number}", prompt_id=problem.prompt_id,
            position=number, purpose="eval", incarnation=policy.incarnation,
            issued_version=policy.version, issued_at=now, token_ids=problem.token_ids,
            thought_open=problem.thought_open, problem=problem.text, answer=problem.answer,
            sampling=sampling,
        )  # fmt: skip


def _parts(
    recipe: TrainingRecipe, rules: EvaluationSet, held_out: Mapping[str, Problems]
) -> Iterator[_Part]:
    """The sampled part of a set, and the greedy one."""
    problems = held_out[rules.name].first(rules.problems)
    too_long, longest = held_out[rules.name].too_long, rules.max_tokens or recipe.sampler.max_tokens
    drawn = Sampling(
        temperature=rules.temperature, top_p=rules.top_p, max_tokens=longest,
        group_size=rules.samples,
    )  # fmt: skip
    yield _Part(rules.name, "sampled", drawn, problems, too_long)
    if rules.greedy:
        likeliest = Sampling(temperature=0.0, max_tokens=longest, group_size=1)
        yield _Part(rules.name, "greedy", likeliest, problems, too_long)


def _key(part: _Part) -> str:
    return f"{part.set}.{part.mode}"


def _seed(seed: int, name: str, problem: Problem) -> int:
    """Below 2**32; the same at every version."""
    return zlib.crc32(f"{seed}/{name}/{problem.prompt_id}/{problem.text}".encode())


def _answered(group: ScoredGroup) -> _Answered:
    drawn = group.rollout.completions
    return _Answered(
        completions=len(drawn),
        correct=sum(score.verdict == "correct" for score in group.scores),
        truncated=sum(completion.finish_reason == "length" for completion in drawn),
        unverified=sum(not score.is_verified for score in group.scores),
        tokens=sum(len(completion.token_ids) for completion in drawn),
    )


def _line(part: _Part, done: _Open) -> EvaluationLine:
    """What came of a part. The standard error is that of the mean over problems: their shares'
    standard deviation over the root of their number."""
    found = done.answered[_key(part)]
    shares = [each.share for each in found]
    drawn = sum(each.completions for each in found)
    return EvaluationLine(
        version=done.policy.version, incarnation=done.policy.incarnation,
        set=part.set, mode=part.mode,
        accuracy=fmean(shares),
        standard_error=stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else None,
        truncated=sum(each.truncated for each in found) / max(1, drawn),
        unverified=sum(each.unverified for each in found),
        failed=sum(not each.completions for each in found),
        tokens=sum(each.tokens for each in found) / max(1, drawn),
        problems=len(found), too_long=part.too_long, completions=drawn,
        temperature=part.sampling.temperature, top_p=part.sampling.top_p,
        max_tokens=part.sampling.max_tokens,
    )  # fmt: skip
