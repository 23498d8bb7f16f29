r"""What the model's answers say of a candidate: keep or drop, and how often it was solved.

A judgement is the last box after the thought, `\boxed{keep}` or `\boxed{drop}`, in any case and
also as `\text{keep}`. Anything else is nonsense, and so is a thought that was not ended.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from openrs_core.boxed import last_box
from openrs_core.errors import RunError
from openrs_core.wire.messages import Completion, ScoredGroup
from services.curator.asking import DROP, KEEP, Question
from services.curator.candidates import Candidate
from services.curator.funnel import Why
from services.curator.mixture import Rate

logger = logging.getLogger(__name__)

THINK_START, THINK_END = "<think>", "</think>"

_JUDGEMENT = re.compile(
    rf"(?:\\text(?:bf|tt|rm|it)?\s*\{{)?\s*[\"'`]*({KEEP}|{DROP})[\"'`.]*\s*\}}?", re.IGNORECASE
)

SHOWN = 60
"""Characters of a nonsensical answer that are shown, from its end."""


class Groups(Protocol):
    """The groups that came back, by their ids."""

    def __contains__(self, group_id: str, /) -> bool:
        """Did it come back?"""

    def group(self, group_id: str) -> ScoredGroup:
        """One that did."""


@dataclass(frozen=True, slots=True)
class Answers:
    """All that came back of one question."""

    question: Question
    groups: Groups
    failures: Mapping[str, str]
    """Groups that could not be sampled, and why."""

    def of(self, candidate: Candidate) -> ScoredGroup | Why:
        """The group of a candidate, or why there is none."""
        group_id = self.question.group_id(candidate)
        if group_id in self.groups:
            return self.groups.group(group_id)
        return Why("it could not be sampled", self.failures.get(group_id, ""))


def judgement(completion: Completion, *, thought_open: bool = False) -> str | None:
    r"""`keep` or `drop`; None: it is neither. `thought_open`: does the prompt end in a thought?

    Example:
        judgement(<"</think> \boxed{\text{Keep}}">)  # "keep"
    """
    _, ended, said = completion.text.rpartition(THINK_END)
    if THINK_START in said or (thought_open and not ended):
        return None
    found = _JUDGEMENT.fullmatch(last_box(said) or "")
    return found[1].lower() if found else None


def judged(candidates: Sequence[Candidate], answers: Answers, nonsense: float) -> dict[str, Why]:
    """The candidates that go, by id: dropped, or without a judgement.

    Raises:
        RunError: more than this share of the answers is no judgement.
    """
    faults: dict[str, Why] = {}
    senseless: list[str] = []
    for candidate in candidates:
        found = answers.of(candidate)
        if isinstance(found, Why):
            faults[candidate.id] = found
            continue
        [completion] = found.rollout.completions
        said = judgement(completion, thought_open=found.rollout.prompt.thought_open)
        if said is None:
            senseless.append(completion.text)
            faults[candidate.id] = Why("the judge answered neither keep nor drop")
        elif said == DROP:
            faults[candidate.id] = Why("the judge drops it")
    if senseless:
        logger.warning(
            "judge: %d of %d answers are neither keep nor drop; such problems are left out",
            len(senseless), len(candidates),
        )  # fmt: skip
    if len(senseless) > nonsense * len(candidates):
        raise RunError(
            f"curate.judge.nonsense is {nonsense:g}, but {len(senseless)} of {len(candidates)} "
            f"answers are neither \\boxed{{{KEEP}}} nor \\boxed{{{DROP}}}, such as "
            f"{senseless[0][-SHOWN:]!r}: another model.path, curate.judge.prompt, or more "
            "curate.judge.max_tokens"
        )
    return faults


def solved(
    candidates: Sequence[Candidate], answers: Answers
) -> tuple[dict[str, Rate], dict[str, Why]]:
    """Pass rates, and the candidates that have none, by id."""
    rates: dict[str, Rate] = {}
    faults: dict[str, Why] = {}
    for candidate in candidates:
        found = answers.of(candidate)
        if isinstance(found, Why):
            faults[candidate.id] = found
            continue
        verified = [score for score in found.scores if score.is_verified]
        if not verified:
            faults[candidate.id] = Why("none of its answers could be verified")
            continue
        correct = sum(score.verdict == "correct" for score in verified)
        rates[candidate.id] = Rate(correct, len(verified))
    return rates, faults
