"""The section `scorer`: math-verify, and the rewards made of its verdict."""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from openrs_core.recipe.section import (
    CosineReward,
    Positive,
    PositiveInt,
    Section,
    Weight,
)
from openrs_core.wire.fields import MAX_COMPONENTS

BuiltIn = Literal[
    "accuracy", "format", "tag_count", "reasoning_steps",
    "cosine", "length", "overlong", "repetition", "language", "harness",
]  # fmt: skip
"""The rewards that come with openrs: docs/rewards.md."""

Script = Literal[
    "Arabic", "Armenian", "Bengali", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek",
    "Gujarati", "Gurmukhi", "Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer",
    "Lao", "Latin", "Malayalam", "Myanmar", "Sinhala", "Tamil", "Telugu", "Thai", "Tibetan",
]  # fmt: skip
"""Values of Unicode's property Script."""

MOST_OWN = 20.0
"""What a reward of the user's own may be, either way: 23 of them and all others together, times the
largest weight, fit into a message."""

_OWN = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


class CosineSection(Section):
    """The cosine length reward: r = lo + (hi - lo) (1 + cos(pi L / max_length)) / 2."""

    max_length: PositiveInt = 3584
    """L at which the cosine has gone half round."""
    unit: Literal["tokens", "characters"] = "tokens"
    """What L counts. The Open-RS code counted characters against a limit of tokens."""
    clamp: bool = True
    """Stop at max_length; without, the reward is periodic in L, as in the Open-RS code."""
    correct: tuple[CosineReward, CosineReward] = (1.0, 0.5)
    """Reward of a correct answer at length 0 and at max_length; each within 100 either way."""
    incorrect: tuple[CosineReward, CosineReward] = (-1.0, -0.5)
    """Reward of a wrong answer at length 0 and at max_length; each within 100 either way."""


class RepetitionSection(Section):
    """What saying the same again costs: r = penalty (1 - different n-grams / all n-grams)."""

    ngram: Annotated[int, Field(ge=1, le=100)] = 3
    """Tokens in a row that are compared; a completion with fewer costs nothing."""
    penalty: Annotated[float, Field(ge=-100, le=0)] = -1.0
    """What a completion nears that says one thing for ever; from -100 to 0."""


class OverlongSection(Section):
    """What coming close to the longest completion costs: DAPO's soft punishment."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """The last part of the prompt's `max_tokens`, over which the reward falls from 0 to -1; DAPO's
    is 4,096 of 20,480 tokens."""


class LanguageSection(Section):
    """The language a completion is asked for in. It is measured whether or not it is rewarded."""

    scripts: tuple[Script, ...] = ()
    """The language of a completion is its share of letters in these: `["Latin"]`, or `["Han",
    "Hiragana", "Katakana"]`. Empty: any script will do."""
    code: Annotated[str, Field(pattern=r"^([a-z]{2,3})?$")] = ""
    """Tells languages of one script apart, by paragraphs: `en`, `fr`. Needs the extra `language`.
    Empty: the script is enough."""


class OwnSection(Section):
    """The child processes in which rewards of your own are computed."""

    workers: PositiveInt = 1
    """How many of them."""
    deadline_seconds: Positive = 10.0
    """A reward that is not there by then: its child is killed, the verdict becomes `error`."""
    memory_mib: Annotated[int, Field(ge=256)] = 2048
    """Address space of one child."""


class ScorerSection(Section):
    """math-verify and the rewards made of its verdict."""

    weights: dict[str, Weight] = Field({"accuracy": 1.0}, max_length=MAX_COMPONENTS)
    """The reward is the sum of these components times their weights. Names are those of
    docs/rewards.md, or `module:function` for a reward of your own. Weights are within 1000 either
    way: so no reward leaves what a message may hold (`fields.MAX_REWARD`). A component of weight 0
    is computed and recorded, and earns nothing."""
    format: Literal["think_then_box", "one_think_end"] = "think_then_box"
    """`think_then_box`: <think>, </think>, then \\boxed{}. `one_think_end`: exactly one
    newline-</think>-newline, the format reward of Open-RS."""
    cosine: CosineSection = CosineSection()
    repetition: RepetitionSection = RepetitionSection()
    overlong: OverlongSection = OverlongSection()
    language: LanguageSection = LanguageSection()
    own: OwnSection = OwnSection()
    workers: PositiveInt = 1
    """Verifier processes."""
    cpu_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """Processor time that one answer may cost; beyond, the verdict is `timeout`."""
    deadline_seconds: Positive = 60.0
    """Time by the clock after which a verifier is killed; the verdict is `error`, as the machine
    was too slow: many times `cpu_seconds`, to bear other work on it."""
    memory_mib: Annotated[int, Field(ge=256)] = 2048
    """Address space of one verifier; beyond, the verdict is `timeout`."""

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        """Refuse what is neither a reward that there is, nor the name of a function."""
        for name in weights:
            if name not in get_args(BuiltIn) and not _OWN.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no reward; there are {', '.join(get_args(BuiltIn))}, and your "
                    "own: 'module:function'"
                )
        return weights

    @model_validator(mode="after")
    def _patient(self) -> "ScorerSection":
        """Refuse a deadline that a calculation which is allowed cannot meet."""
        if self.deadline_seconds <= self.cpu_seconds:
            raise ValueError(
                f"deadline_seconds is {self.deadline_seconds:g}, but an answer may cost "
                f"cpu_seconds = {self.cpu_seconds:g} of processor time; give several times that"
            )
        return self

    @property
    def as_harness(self) -> bool:
        """Is every completion scored as the harness would, too?"""
        return "harness" in self.weights

    @property
    def own_rewards(self) -> list[str]:
        """Those of the weights that name a function of the user's."""
        return [name for name in self.weights if ":" in name]
