"""The section `evaluation`: held-out accuracy while training goes on."""

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from openrs_core.recipe.data import CheckedOrEmpty
from openrs_core.recipe.section import Name, Positive, PositiveInt, Section, TopP, refuse_double
from openrs_core.wire.fields import MAX_GROUP_SIZE, MAX_TOKENS

HELD_OUT = "held_out"
"""Name of the only set, where the recipe names none."""


class Questions(Section):
    """How many problems of a set are asked, and how often."""

    problems: PositiveInt = 256
    """How many held-out problems, the first of the file."""
    samples: Annotated[int, Field(ge=1, le=MAX_GROUP_SIZE)] = 1
    """Completions per problem of the sampled evaluation."""
    temperature: Positive = 1.0
    """Of the sampled evaluation."""
    top_p: TopP = 1.0
    """Of the sampled evaluation: drawn from the likeliest tokens that have this share together."""
    max_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS)] = 0
    """Longest completion; may be longer than in training. 0: `sampler.max_tokens`."""
    greedy: bool = True
    """Also evaluate with temperature 0, one completion per problem."""


class EvaluationSet(Questions):
    """Some held-out problems with a result of their own."""

    name: Name
    """Lower-case letters, digits, `-`, `_` and `.`."""
    source: CheckedOrEmpty = ""
    """Its problems, in one of the forms of `data.held_out`; empty: those of `data.held_out`."""


class EvaluationSection(Questions):
    """Held-out accuracy, through the same ring, while training goes on."""

    every: PositiveInt = 50
    """Steps between evaluations; one is also made before the first and after the last step."""
    sets: tuple[EvaluationSet, ...] = ()
    """Several sets; what one does not say is as in this section. None: one set, `held_out`."""
    best: str = ""
    """The set whose sampled accuracy says which policy is kept as `checkpoints/best`; empty: the
    first."""

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, table: Any) -> Any:
        """Give each set what the section says for all."""
        if not isinstance(table, dict) or not isinstance(table.get("sets"), list | tuple):
            return table
        shared = {key: table[key] for key in Questions.model_fields if key in table}
        sets = [shared | each if isinstance(each, dict) else each for each in table["sets"]]
        return table | {"sets": sets}

    @field_validator("sets")
    @classmethod
    def _apart(cls, sets: tuple[EvaluationSet, ...]) -> tuple[EvaluationSet, ...]:
        """Refuse two sets of one name."""
        refuse_double(sets, "two sets")
        return sets

    def sets_of(self, held_out: str) -> tuple[EvaluationSet, ...]:
        """The sets that are evaluated, each with its source; `held_out` is `data.held_out`."""
        if not self.sets:
            asked = {key: getattr(self, key) for key in Questions.model_fields}
            only = EvaluationSet(name=HELD_OUT, source=held_out, **asked)
            return (only,) if held_out else ()
        return tuple(
            each if each.source else each.model_copy(update={"source": held_out})
            for each in self.sets
        )
