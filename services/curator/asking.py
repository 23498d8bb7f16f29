"""What the model is asked about each candidate: to judge it, or to solve it.

Which prompts there are, and with which seeds they are drawn, depends on the recipe and the
candidates alone, so a life that begins anew asks for the same.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from openrs_core.recipe.curate import CurateRecipe
from openrs_core.recipe.data import PromptSection
from openrs_core.wire.messages import Prompt, Sampling
from services.curator.candidates import Candidate
from services.curator.funnel import Why
from services.issuing.problems import Problem
from services.issuing.rendering import Renderer, Tokenizer
from services.issuing.survey import survey_prompt

Stage = Literal["judge", "solve"]

KEEP, DROP = "keep", "drop"
"""What a judge answers; the first is the reference, so a judgement to keep counts as correct."""


@dataclass(frozen=True, slots=True)
class Question:
    """One stage's prompts."""

    stage: Stage
    renderer: Renderer
    sampling: Sampling
    """But for the seed, which each candidate has of its own."""
    seed: int
    """Of the recipe."""
    longest: int
    """Tokens of a prompt."""

    def group_id(self, candidate: Candidate) -> str:
        """The same in every life."""
        return f"{self.stage}.{candidate.source}.{candidate.number}"

    def too_long(self, candidates: Sequence[Candidate]) -> dict[str, Why]:
        """The candidates that cannot be asked about, by id."""
        why = Why("its prompt is too long", f"more than data.max_prompt_tokens = {self.longest}")
        return {each.id: why for each in candidates if self.renderer.is_too_long(each.problem)}

    def prompts(self, candidates: Sequence[Candidate], begun: float) -> Iterator[Prompt]:
        """A prompt for each; `begun`: when the curation was, Unix time."""
        for position, candidate in enumerate(candidates):
            group_id = self.group_id(candidate)
            problem = Problem(
                prompt_id=group_id,
                text=candidate.problem,
                token_ids=self.renderer.tokens(candidate.problem),
                answer=KEEP if self.stage == "judge" else candidate.answer,
                thought_open=self.renderer.thought_open,
            )
            yield survey_prompt(problem, group_id, position, begun, self._seeded(group_id))

    def _seeded(self, group_id: str) -> Sampling:
        return replace(self.sampling, seed=zlib.crc32(f"{self.seed}/{group_id}".encode()))


def judging(recipe: CurateRecipe, tokenizer: Tokenizer) -> Question:
    """Is this problem to be kept?"""
    rules = recipe.curate.judge
    data = recipe.data.model_copy(
        update={
            "system_prompt": rules.system_prompt, "user_prompt": rules.prompt, "examples": (),
        }
    )  # fmt: skip
    sampling = Sampling(
        temperature=rules.temperature,
        max_tokens=rules.max_tokens or recipe.sampler.max_tokens,
        group_size=1,
    )
    return _question("judge", recipe, data, tokenizer, sampling)


def solving(recipe: CurateRecipe, tokenizer: Tokenizer) -> Question:
    """What is the answer? As `data` has it asked."""
    rules = recipe.curate.solve
    sampling = Sampling(
        temperature=rules.temperature,
        top_p=rules.top_p,
        max_tokens=rules.max_tokens or recipe.sampler.max_tokens,
        group_size=rules.samples,
    )
    return _question("solve", recipe, recipe.data, tokenizer, sampling)


def _question(
    stage: Stage,
    recipe: CurateRecipe,
    data: PromptSection,
    tokenizer: Tokenizer,
    sampling: Sampling,
) -> Question:
    renderer = Renderer(data, tokenizer)
    return Question(stage, renderer, sampling, recipe.seed, data.max_prompt_tokens)
