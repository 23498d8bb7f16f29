"""A recipe for training: the ring's, and what the learner is to do with what comes back."""

from typing import Any

from pydantic import model_validator

from openrs_core.recipe.algorithm import AlgorithmSection
from openrs_core.recipe.curriculum import CurriculumSection
from openrs_core.recipe.data import DataSection, is_trained_on
from openrs_core.recipe.evaluation import EvaluationSection, EvaluationSet
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
        if self.learner.tokens_per_micro_batch < self.longest_trained:
            raise ValueError(
                f"learner.tokens_per_micro_batch is {self.learner.tokens_per_micro_batch}, but one "
                f"sequence may have {self.longest_trained} tokens (data.max_prompt_tokens + "
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
        """Refuse an evaluation that no sampler could take, or of what is trained on."""
        for number, each in enumerate(self.evaluated):
            where = f"evaluation.sets.{number}." if self.evaluation.sets else "evaluation."
            if each.samples > self.sampler.max_sequences:
                raise ValueError(
                    f"{where}samples is {each.samples}, more than a sampler takes "
                    f"(sampler.max_sequences = {self.sampler.max_sequences}); lower it or raise "
                    "that"
                )
            if not each.source:
                raise ValueError(
                    f"{where}source is empty, and so is data.held_out: name the problems of the "
                    f"set {each.name!r} in one of them"
                )
            if is_trained_on(self.data.train, each.source):
                raise ValueError(
                    f"{where}source is {each.source!r}, which is trained on (data.train = "
                    f"{self.data.train!r}); name other problems"
                )
        return self

    @model_validator(mode="after")
    def _best_possible(self) -> "TrainingRecipe":
        """Refuse to judge by a set that is not there."""
        names = [each.name for each in self.evaluated]
        if self.evaluation.best and self.evaluation.best not in names:
            there = ", ".join(map(repr, names)) or "none"
            raise ValueError(
                f"evaluation.best is {self.evaluation.best!r}, which is no set of the evaluation "
                f"(there are: {there})"
            )
        return self

    @property
    def evaluated(self) -> tuple[EvaluationSet, ...]:
        """The sets of held-out problems, each with its source; none without an evaluation."""
        return self.evaluation.sets_of(self.data.held_out)

    @property
    def best_set(self) -> str:
        """The set by which the best policy is known; empty without an evaluation."""
        return self.evaluation.best or next((each.name for each in self.evaluated), "")

    @property
    def longest_sequence(self) -> int:
        """Tokens that a prompt and its completion may have together, of an evaluation too."""
        longest = max([self.sampler.max_tokens, *(each.max_tokens for each in self.evaluated)])
        return self.data.max_prompt_tokens + longest

    @property
    def longest_trained(self) -> int:
        """And in the training alone."""
        return super().longest_sequence
