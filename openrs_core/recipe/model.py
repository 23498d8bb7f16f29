"""The section `model`: which model is trained, and in which type."""

from typing import Literal

from openrs_core.recipe.section import Section


class ModelSection(Section):
    """The model that is trained."""

    path: str
    """Directory or Hugging Face hub id of a causal language model; `toy` is the embedded one."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the weights that sampler and learner compute with (masters are always float32)."""
