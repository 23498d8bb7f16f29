r"""Rewards as facts about one completion: pure functions of its text, length and verdict.

    accuracy   1 for a correct answer
    format     1 for an answer in the expected form
    cosine     1/2 (1 + cos(pi L / M)) between two values, chosen by the verdict

The cosine is Open-RS's (arXiv 2503.16219, the third experiment), with what its code did kept as
options: it counted characters, and did not stop at M.
"""

import math

from openrs_core.recipe.scorer import CosineSection, ScorerSection
from openrs_core.wire.messages import Score, Verdict
from services.scorer.answer import BOX, THINK_END, THINK_START

_ONE_THINK_END = "\n</think>\n"


def score(text: str, tokens: int, verdict: Verdict, rules: ScorerSection) -> Score:
    """Every component the recipe weighs, and their weighted sum.

    A `timeout` or `error` earns nothing: nobody knows whether the answer was right.
    """
    known = verdict in ("correct", "incorrect", "no_answer")
    components: dict[str, float] = {
        name: _component(name, text, tokens, verdict, rules) if known else 0.0
        for name in rules.weights
    }
    reward = sum(weight * components[name] for name, weight in rules.weights.items())
    return Score(reward=reward, components=components, verdict=verdict, language=1.0)


def has_format(text: str, form: str) -> bool:
    """Is the completion in the expected form?"""
    if form == "one_think_end":
        return text.count(_ONE_THINK_END) == 1
    thought, end, rest = text.removeprefix(THINK_START).partition(THINK_END)
    between, box, content = rest.partition(BOX)
    tags = (thought + between).count(THINK_START) + between.count(THINK_END)
    return bool(end and box) and tags == 0 and content.rfind("}") > 0


def cosine(length: int, correct: bool, rules: CosineSection) -> float:
    """The length reward of an answer of `length` tokens or characters."""
    share = length / rules.max_length
    if rules.clamp:
        share = min(1.0, share)
    at_zero, at_limit = rules.correct if correct else rules.incorrect
    return at_limit + 0.5 * (at_zero - at_limit) * (1.0 + math.cos(math.pi * share))


def _component(name: str, text: str, tokens: int, verdict: Verdict, rules: ScorerSection) -> float:
    correct = verdict == "correct"
    if name == "accuracy":
        return float(correct)
    if name == "format":
        return float(has_format(text, rules.format))
    length = tokens if rules.cosine.unit == "tokens" else len(text)
    return cosine(length, correct, rules.cosine)
