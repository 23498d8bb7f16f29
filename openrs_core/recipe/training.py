"""A recipe for training: the ring's, and what the learner is to do with what comes back."""

from typing import Any

from pydantic import model_validator

from openrs_core.recipe.algorithm import AlgorithmSection
from openrs_core.recipe.curriculum import CurriculumSection
from openrs_core.recipe.data import DataSection
from openrs_core.recipe.evaluation import EvaluationSection
from openrs_core.recipe.learner import LearnerSection
from openrs_core.recipe.length import LengthSection
from openrs_core.recipe.presets import Preset, filled
from openrs_core.recipe.ring import RingRecipe


class TrainingRecipe(RingRecipe):
    """Everything that decides what a training run does."""

    preset: Preset = ""
    """A published algorithm, as values of the keys below (see `presets`); empty: none."""
    data: DataSection
    learner: LearnerSection
    algorithm: AlgorithmSection = AlgorithmSection()
    length: LengthSection = LengthSection()
    curriculum: CurriculumSection = CurriculumSection()
    evaluation: EvaluationSection = EvaluationSection()

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, table: Any) -> Any:
        """Give the keys of the preset their values."""
        return filled(table) if isinstance(table, dict) else table

    @model_validator(mode="after")
    def _model_possible(self) -> "TrainingRecipe":
        """Refuse a model that does not know the task."""
        if (self.data.train == "toy") != (self.model.path == "toy"):
            raise ValueError(
                f"model.path is {self.model.path!r} and data.train is {self.data.train!r}: the toy "
                "model knows only the toy task; set both to 'toy' or neither"
            )
        return self

    @model_validator(mode="after")
    def _learner_possible(self) -> "TrainingRecipe":
        """Refuse groups that no sampler could take, and sequences that no rank could."""
        if self.sampler.max_sequences < self.learner.group_size:
            raise ValueError(
                f"sampler.max_sequences is {self.sampler.max_sequences}, less than one group "
                f"(learner.group_size = {self.learner.group_size}); raise it"
            )
        if self.learner.tokens_per_micro_batch < self.longest_sequence:
            raise ValueError(
                f"learner.tokens_per_micro_batch is {self.learner.tokens_per_micro_batch}, but one "
                f"sequence may have {self.longest_sequence} tokens (data.max_prompt_tokens + "
                "sampler.max_tokens); raise it or lower those"
            )
        return self

    @model_validator(mode="after")
    def _lengths_possible(self) -> "TrainingRecipe":
        """Refuse lengths that the sampler is not started for."""
        most, rules = self.sampler.max_tokens, self.length
        for name, tokens in (("first is", rules.first), ("at_steps lead to", rules.planned)):
            if tokens > most:
                raise ValueError(
                    f"length.{name} {tokens} tokens, but the sampler is started for {most} "
                    "(sampler.max_tokens); raise that, or lower length.first or length.factor"
                )
        return self

    @model_validator(mode="after")
    def _evaluation_possible(self) -> "TrainingRecipe":
        """Refuse an evaluation that no sampler could take."""
        if self.evaluation.samples > self.sampler.max_sequences:
            raise ValueError(
                f"evaluation.samples is {self.evaluation.samples}, more than a sampler takes "
                f"(sampler.max_sequences = {self.sampler.max_sequences}); lower it or raise that"
            )
        if self.evaluation.max_tokens > self.sampler.max_tokens:
            raise ValueError(
                f"evaluation.max_tokens is {self.evaluation.max_tokens}, longer than the model is "
                f"run with (sampler.max_tokens = {self.sampler.max_tokens}); lower it or raise that"
            )
        return self
