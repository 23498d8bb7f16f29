"""The section `toy`: the embedded task and model."""

from typing import Annotated

from pydantic import Field

from openrs_core.recipe.section import PositiveInt, Section, Share


class ToySection(Section):
    """The embedded task and model (`toy`); see services/toy."""

    terms: Annotated[int, Field(ge=4, le=8)] = 4
    """Numbers in one chain sum; fewer would not make enough different problems."""
    hidden_size: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    """Width of the model."""
    layers: PositiveInt = 2
    """Depth of the model."""
    careful_share: Share = 0.25
    """Share of the second warm-up's demonstrations that show their work."""
