"""A recipe for an evaluation: the ring's, and which problems are asked how often.

`openrs eval` makes one of its options; it is kept in the evaluation's directory.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from openrs_core.recipe.data import Checked
from openrs_core.recipe.ring import RingRecipe
from openrs_core.recipe.section import (
    Count,
    Name,
    NotNegative,
    PositiveInt,
    Section,
    TopP,
    refuse_double,
)
from openrs_core.wire.fields import MAX_GROUP_SIZE

Scoring = Literal["openrs", "harness"]


class EvalSet(Section):
    """Some problems, and the name of the result on them."""

    name: Name
    """Lower-case letters, digits, `-`, `_` and `.`."""
    source: Checked
    """A file, a hub data set or `toy`, as `data.held_out` of a training recipe."""
    problem_field: str = "problem"
    """Column with the problem's text."""
    answer_field: str = "answer"
    """Column with the reference answer, or with a worked solution."""
    problems: Count = 0
    """How many, the first of them; 0: all."""


class EvalSection(Section):
    """Which problems, how many samples of each, and how they are drawn and scored."""

    sets: Annotated[tuple[EvalSet, ...], Field(min_length=1)]
    """The results are by set."""
    samples: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Completions of each problem."""
    seed: Count = 0
    """Which random numbers they are drawn with: the same ones for the same seed and problem."""
    temperature: NotNegative = 0.6
    """0 is greedy; then one sample says all there is."""
    top_p: TopP = 0.95
    """Tokens are drawn from the likeliest ones that have this share of the probability."""
    protocol: str = ""
    """Name of the settings this was made of, for the reader; empty: the user's own."""
    scoring: Scoring = "openrs"
    """Whose verdict counts; the other one is on record beside it where they were asked for."""
    model_name: str = ""
    """What the model is called in the results; empty: as `model.path`."""
    group_size: Annotated[int, Field(ge=1, le=MAX_GROUP_SIZE)] = 8
    """Completions of one problem that one sampler draws at a time: what is lost when it dies."""
    in_flight: PositiveInt = 2048
    """Completions that are asked for at once, of all samplers together."""
    allow_failed: bool = False
    """Whether problems that no sampler could do are left out of the result, and counted; otherwise
    there is no result."""
    dollars_per_hour: NotNegative = 0.0
    """Price of the machine, for the cost of the evaluation; 0: not known."""

    @field_validator("sets")
    @classmethod
    def _apart(cls, sets: tuple[EvalSet, ...]) -> tuple[EvalSet, ...]:
        """Refuse two sets of one name."""
        refuse_double(sets, "two sets")
        return sets


class EvalRecipe(RingRecipe):
    """Everything that decides what an evaluation gives."""

    eval: EvalSection

    @model_validator(mode="after")
    def _possible(self) -> "EvalRecipe":
        """Refuse more than a sampler takes, and many samples where all are the same."""
        if self.eval.group_size > self.sampler.max_sequences:
            raise ValueError(
                f"eval.group_size is {self.eval.group_size}, more than a sampler takes "
                f"(sampler.max_sequences = {self.sampler.max_sequences}); lower it or raise that"
            )
        if self.eval.temperature == 0 and self.eval.samples > 1:
            raise ValueError(
                f"eval.samples is {self.eval.samples}, but at eval.temperature = 0 all are the "
                "same; set it to 1, or raise the temperature"
            )
        if self.eval.scoring == "harness" and not self.scorer.as_harness:
            raise ValueError(
                "eval.scoring is 'harness', but the scorer is not asked for it; give "
                "scorer.weights a key harness = 0"
            )
        return self
