"""What the sections of a recipe have in common: how they are checked, and types of keys."""

from collections.abc import Iterable
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from openrs_core.wire.fields import MAX_TOKENS

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Weight = Annotated[float, Field(ge=-1000, le=1000)]
CosineReward = Annotated[float, Field(ge=-100, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
TopP = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]
"""Lower-case letters, digits, `-`, `_` and `.`."""


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """Of its own."""


def refuse_double(named: Iterable[Named], what: str) -> None:
    """Raise ValueError where two have one name; `what` they are is said."""
    names = [each.name for each in named]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} are called {double[0]!r}; give each a name of its own")


class Section(BaseModel):
    """A table of the recipe: frozen, closed, documented under each field."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
