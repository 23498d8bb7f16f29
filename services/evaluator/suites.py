"""The problems of an evaluation, and the prompts that ask them.

Which prompts there are, and with which seeds they are drawn, depends on the recipe alone: so a life
that begins anew asks for the same, and takes up what an earlier one asked for.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from blake3 import blake3

from openrs_core.errors import RunError
from openrs_core.recipe.eval import EvalRecipe, EvalSet
from openrs_core.wire.messages import Prompt, Sampling
from services.issuing.problems import Problem, read_problems
from services.issuing.rendering import Renderer, Tokenizer
from services.issuing.sources import Named
from services.issuing.survey import survey_prompt


@dataclass(frozen=True, slots=True)
class Suite:
    """The problems of one set."""

    name: str
    problems: list[Problem]

    @property
    def digest(self) -> str:
        """Equal where problems and answers are, in the same order."""
        texts = (text for each in self.problems for text in (each.text, each.answer))
        return blake3("".join(f"{len(text)}:{text}" for text in texts).encode()).hexdigest()


def load_suites(recipe: EvalRecipe, tokenizer: Tokenizer) -> list[Suite]:
    """Read every set of the recipe; a problem that cannot be asked is none to be left out.

    Raises:
        RunError: a source is missing or damaged, or a row of it cannot be used, or a prompt is
            too long, or two problems have the same id.
    """
    renderer = Renderer(recipe.data, tokenizer)
    return [_suite(each, recipe, renderer) for each in recipe.eval.sets]


def _suite(rules: EvalSet, recipe: EvalRecipe, renderer: Renderer) -> Suite:
    columns = {"problem_field": rules.problem_field, "answer_field": rules.answer_field}
    data = recipe.data.model_copy(update={**columns, "strict": True})
    named = Named(key=f"set {rules.name}", text=rules.source, split="held_out", data=data)
    found = read_problems(named, recipe, renderer)
    if found.too_long:
        raise RunError(
            f"{named}: {found.too_long} prompts have more tokens than data.max_prompt_tokens = "
            f"{recipe.data.max_prompt_tokens}; raise it (--set data.max_prompt_tokens=...)"
        )
    count = min(rules.problems or len(found), len(found))
    problems = [found[index] for index in range(count)]
    _refuse_double(named, problems)
    return Suite(rules.name, problems)


def _refuse_double(named: Named, problems: Iterable[Problem]) -> None:
    seen: set[str] = set()
    for each in problems:
        if each.prompt_id in seen:
            raise RunError(f"{named}: two problems have the id {each.prompt_id!r}; mend its ids")
        seen.add(each.prompt_id)


@dataclass(frozen=True, slots=True)
class Share:
    """Some of the samples of one problem, which one sampler draws together."""

    suite: str
    problem: Problem
    position: int
    """Of the problem, in its set."""
    first: int
    """Sample, counted from 0."""
    count: int

    @property
    def group_id(self) -> str:
        """The same in every life."""
        return f"eval.{self.suite}.{self.position}.{self.first}"


def shares(suites: Iterable[Suite], samples: int, at_once: int) -> Iterator[Share]:
    """All that is to be asked for, `at_once` samples or less at a time."""
    for suite in suites:
        for position, problem in enumerate(suite.problems):
            for first in range(0, samples, at_once):
                count = min(at_once, samples - first)
                yield Share(suite.name, problem, position, first, count)


def seed_of(recipe: EvalRecipe, suite: str, prompt_id: str) -> int:
    """Sample i of the problem is drawn with this + i."""
    return zlib.crc32(f"{recipe.eval.seed}/{suite}/{prompt_id}".encode())


def prompt(share: Share, recipe: EvalRecipe, begun: float) -> Prompt:
    """What a share is asked with; `begun`: when the evaluation was, in Unix time."""
    rules = recipe.eval
    sampling = Sampling(
        temperature=rules.temperature,
        max_tokens=recipe.sampler.max_tokens,
        group_size=share.count,
        top_p=rules.top_p,
        seed=seed_of(recipe, share.suite, share.problem.prompt_id) + share.first,
    )
    return survey_prompt(share.problem, share.group_id, share.position, begun, sampling)
