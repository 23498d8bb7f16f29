"""From what was found of a group to its scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from openrs_core.recipe.scorer import BuiltIn, ScorerSection
from openrs_core.wire.messages import Completion, RolloutGroup, Score, Verdict
from services.scorer.rewards.form import has_format, reasoning_steps, tag_count
from services.scorer.rewards.language import language_share
from services.scorer.rewards.length import beside_siblings, cosine, overlong
from services.scorer.rewards.repetition import repetition


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A completion, and what its rewards are made of beside it."""

    completion: Completion
    correct: bool
    max_tokens: int
    """Longest completion that was asked for."""
    shortest: int
    """Tokens of the shortest verified completion of the group."""
    longest: int
    """Tokens of the longest one."""
    language: float
    """Share of it in the language asked for."""
    credited: bool
    """Would the harness credit it?"""

    @property
    def tokens(self) -> int:
        """Its length."""
        return len(self.completion.token_ids)


Component = Callable[[Judged, ScorerSection], float]

COMPONENTS: Mapping[BuiltIn, Component] = {
    "accuracy": lambda it, _: float(it.correct),
    "format": lambda it, rules: float(has_format(it.completion.text, rules.format)),
    "tag_count": lambda it, _: tag_count(it.completion.text),
    "reasoning_steps": lambda it, _: reasoning_steps(it.completion.text),
    "cosine": lambda it, rules: cosine(_length(it, rules), it.correct, rules.cosine),
    "length": lambda it, _: beside_siblings(it.tokens, it.correct, it.shortest, it.longest),
    "overlong": lambda it, rules: overlong(it.tokens, it.max_tokens, rules.overlong),
    "repetition": lambda it, rules: repetition(it.completion.token_ids, rules.repetition),
    "language": lambda it, _: it.language,
    "harness": lambda it, _: float(it.credited),
}


def score(
    group: RolloutGroup,
    verdicts: Sequence[Verdict],
    own: Sequence[Mapping[str, float]],
    rules: ScorerSection,
    credited: Sequence[bool] = (),
) -> tuple[Score, ...]:
    """Every component the recipe weighs, and their weighted sum, of each completion of a group.

    `own` are the rewards of the user's own, by name; `credited`, what the harness would say, empty
    where it is not asked. A `timeout` is scored as the wrong answer that it is. An `error` earns
    nothing, and has nothing but zeros, save what the harness said: nobody trains on it.
    """
    known = [verdict != "error" for verdict in verdicts]
    lengths = [len(c.token_ids) for c, is_known in zip(group.completions, known, strict=True)
               if is_known]  # fmt: skip
    shortest, longest = min(lengths, default=0), max(lengths, default=0)
    scores = []
    asked = credited or [False] * len(verdicts)
    for completion, verdict, given, right in zip(
        group.completions, verdicts, own, asked, strict=True
    ):
        judged = Judged(
            completion=completion, correct=verdict == "correct",
            max_tokens=group.prompt.sampling.max_tokens, shortest=shortest, longest=longest,
            language=language_share(completion.text, rules.language), credited=right,
        )  # fmt: skip
        scores.append(_score(judged, verdict, given, rules))
    return tuple(scores)


def _score(
    judged: Judged, verdict: Verdict, own: Mapping[str, float], rules: ScorerSection
) -> Score:
    components = dict.fromkeys(rules.weights, 0.0)
    known: set[BuiltIn] = {"harness"} if verdict == "error" else set(COMPONENTS)
    components |= {name: COMPONENTS[name](judged, rules) for name in known if name in rules.weights}
    if verdict == "error":
        return Score(reward=0.0, components=components, verdict=verdict, language=judged.language)
    components |= own
    reward = sum(weight * components[name] for name, weight in rules.weights.items())
    return Score(reward=reward, components=components, verdict=verdict, language=judged.language)


def _length(judged: Judged, rules: ScorerSection) -> int:
    return judged.tokens if rules.cosine.unit == "tokens" else len(judged.completion.text)
