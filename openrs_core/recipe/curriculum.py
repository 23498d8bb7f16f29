"""The section `curriculum`: which problems are worth another visit."""

from typing import Annotated

from pydantic import Field, model_validator

from openrs_core.recipe.section import PositiveInt, Section, Share


class CurriculumSection(Section):
    """Choose problems by the share of right answers in their last visits.

    Problems that are always or never solved have no gradient: their groups cost sampling and teach
    nothing (GRESO, arXiv 2506.02177; online difficulty filtering, arXiv 2504.03380).
    """

    enabled: bool = False
    """Off: every problem in turn, in every epoch."""
    window: Annotated[int, Field(ge=2)] = 2
    """Visits of a problem that its pass rate is of, the last ones: correct among verified."""
    retire_at: Annotated[float, Field(gt=0, le=1)] = 0.9
    """A problem with this pass rate, after two visits at least, is not issued again (ScaleRL, arXiv
    2510.13786)."""
    keep: Share = 0.2
    """At least this share of the problems is never retired. A run that has solved all but a handful
    would train on those again and again, and break (docs/studies.md)."""
    prefer: tuple[Share, Share] = (0.2, 0.8)
    """A problem whose pass rate is outside rests for `rest_epochs`."""
    rest_epochs: PositiveInt = 1
    """Epochs after the one of its last visit."""

    @model_validator(mode="after")
    def _possible(self) -> "CurriculumSection":
        """Refuse a band that holds nothing, or that reaches into what is retired."""
        low, high = self.prefer
        if not low < high <= self.retire_at:
            raise ValueError(
                f"prefer is {list(self.prefer)} and retire_at {self.retire_at}: the first must be "
                "the lowest, retire_at the highest"
            )
        return self
