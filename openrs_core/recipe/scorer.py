"""The section `scorer`: math-verify, and the rewards made of its verdict."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from openrs_core.recipe.section import CosineReward, Positive, PositiveInt, Section, Weight


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


class ScorerSection(Section):
    """math-verify and the rewards made of its verdict."""

    weights: dict[Literal["accuracy", "format", "cosine"], Weight] = Field({"accuracy": 1.0})
    """The reward is the sum of these components times their weights, each within 1000 either way:
    so no reward leaves what a message may hold (`fields.MAX_REWARD`)."""
    format: Literal["think_then_box", "one_think_end"] = "think_then_box"
    """`think_then_box`: <think>, </think>, then \\boxed{}. `one_think_end`: exactly one
    newline-</think>-newline, the format reward of Open-RS."""
    cosine: CosineSection = CosineSection()
    workers: PositiveInt = 1
    """Verifier processes."""
    cpu_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """Processor time that one answer may cost; beyond, the verdict is `timeout`."""
    deadline_seconds: Positive = 60.0
    """Time by the clock after which a verifier is killed; the verdict is `error`, as the machine
    was too slow: many times `cpu_seconds`, to bear other work on it."""
    memory_mib: Annotated[int, Field(ge=256)] = 2048
    """Address space of one verifier; beyond, the verdict is `timeout`."""

    @model_validator(mode="after")
    def _patient(self) -> "ScorerSection":
        """Refuse a deadline that a calculation which is allowed cannot meet."""
        if self.deadline_seconds <= self.cpu_seconds:
            raise ValueError(
                f"deadline_seconds is {self.deadline_seconds:g}, but an answer may cost "
                f"cpu_seconds = {self.cpu_seconds:g} of processor time; give several times that"
            )
        return self
