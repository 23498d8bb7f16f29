"""The section `evaluation`: held-out accuracy while training goes on."""

from typing import Annotated

from pydantic import Field

from openrs_core.recipe.section import Count, Positive, PositiveInt, Section
from openrs_core.wire.fields import MAX_GROUP_SIZE


class EvaluationSection(Section):
    """Held-out accuracy, through the same ring, while training goes on."""

    every: PositiveInt = 50
    """Steps between evaluations; one is also made before the first and after the last step."""
    problems: PositiveInt = 256
    """How many held-out problems, the first of the file."""
    samples: Annotated[int, Field(ge=1, le=MAX_GROUP_SIZE)] = 1
    """Completions per problem of the sampled evaluation."""
    temperature: Positive = 1.0
    """Of the sampled evaluation."""
    greedy: bool = True
    """Also evaluate with temperature 0, one completion per problem."""
    max_tokens: Count = 0
    """Longest completion, not longer than in training; 0: as long."""
