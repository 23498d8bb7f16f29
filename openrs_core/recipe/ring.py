"""What every recipe holds: all that a sampler, a scorer and whoever issues prompts need to know.

A client of the ring has sections of its own beside these: the learner's are in `training`.
"""

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field

from openrs_core.recipe.data import PromptSection
from openrs_core.recipe.model import ModelSection
from openrs_core.recipe.sampler import SamplerSection
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.recipe.section import Count, Name, Section
from openrs_core.recipe.toy import ToySection


class RingRecipe(Section):
    """Everything that decides what goes round in a ring, whoever its client is."""

    name: Name
    """Lower-case letters, digits, `-`, `_` and `.`; run ids begin with it."""
    seed: Count = 0
    """Of the data order, the sampler and the toy model."""
    redelivery_seconds: Annotated[float, Field(ge=1)] = 120.0
    """Work whose owner fell silent this long is given to another; longer than a weight load."""
    model: ModelSection
    data: PromptSection = PromptSection()
    sampler: SamplerSection = SamplerSection()
    scorer: ScorerSection = ScorerSection()
    toy: ToySection = ToySection()

    @property
    def longest_sequence(self) -> int:
        """Tokens that a prompt and its completion may have together."""
        return self.data.max_prompt_tokens + self.sampler.max_tokens

    def resolved(self) -> dict[str, Any]:
        """Every value in force, defaults included, as JSON-able values."""
        return self.model_dump(mode="json")

    @property
    def fingerprint(self) -> str:
        """Equal for equal recipes."""
        text = json.dumps(self.resolved(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
