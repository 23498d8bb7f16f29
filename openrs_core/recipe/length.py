"""The section `length`: how long completions of the training may be, as it goes on."""

from typing import Annotated

from pydantic import Field, model_validator

from openrs_core.recipe.section import PositiveInt, Section, Share
from openrs_core.wire.fields import MAX_TOKENS


class LengthSection(Section):
    """A limit that grows (DeepScaleR: 8k, 16k, 24k tokens), without a restart.

    The sampler is started for `sampler.max_tokens`: the limit never grows beyond that, and an
    evaluation has its own (`evaluation.max_tokens`).
    """

    first: Annotated[int, Field(ge=0, le=MAX_TOKENS)] = 0
    """Longest completion in the beginning, in tokens; 0: always `sampler.max_tokens`."""
    factor: Annotated[float, Field(gt=1)] = 2.0
    """What the limit is multiplied by when it grows."""
    at_steps: tuple[PositiveInt, ...] = ()
    """It grows when these many steps are made."""
    below: Share = 0.0
    """It also grows when the share of completions that are cut off was below this, in the mean over
    `window` steps since it last grew; 0: it does not."""
    window: PositiveInt = 10
    """Steps that `below` looks back."""

    @property
    def planned(self) -> int:
        """The limit after the last of `at_steps`."""
        limit = self.first
        for _ in self.at_steps:
            limit = self.grown(limit)
        return limit

    def grown(self, limit: int) -> int:
        """The limit after this one, whatever the sampler was started for."""
        return int(limit * self.factor)

    @model_validator(mode="after")
    def _acts(self) -> "LengthSection":
        """Refuse what would do nothing, and steps out of order."""
        grows = bool(self.at_steps or self.below)
        if grows and not self.first:
            which = "at_steps" if self.at_steps else "below"
            raise ValueError(f"{which} is set, but first is 0: set the limit to begin with")
        if self.first and not grows:
            raise ValueError(
                f"first is {self.first} and it never grows: set at_steps or below, or leave first "
                "at 0 and lower sampler.max_tokens"
            )
        if list(self.at_steps) != sorted(set(self.at_steps)):
            raise ValueError(f"at_steps is {list(self.at_steps)}: name each step once, in order")
        return self
