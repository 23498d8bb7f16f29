"""A recipe for a data set: where problems come from, and which of them are kept.

Sources are read, sifted and mixed into parts. What a model is
asked (`curate.judge`, `curate.solve`) goes through the ring; without either, no ring is started.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from openrs_core.recipe.data import PROBLEM, Checked
from openrs_core.recipe.model import ModelSection
from openrs_core.recipe.ring import RingRecipe
from openrs_core.recipe.section import (
    Count,
    Name,
    Named,
    NotNegative,
    PositiveInt,
    Section,
    Share,
    TopP,
    refuse_double,
)
from openrs_core.wire.fields import MAX_GROUP_SIZE

Rule = Literal[
    "short", "long", "several_parts", "several_questions", "proof", "figure", "link",
    "multiple_choice", "not_english", "markup",
]  # fmt: skip
"""What a problem can be left out for by its text: docs/curation.md."""

EVERY_RULE: tuple[Rule, ...] = (
    "short", "long", "several_parts", "several_questions", "proof", "figure", "link",
    "multiple_choice", "not_english", "markup",
)  # fmt: skip

JUDGE = (
    "You are sorting problems for a data set of mathematics. A problem is to be kept if it is "
    "stated completely and clearly, asks for exactly one answer, and that answer is a number or an "
    "expression that can be compared with a reference. A problem is to be dropped if it has "
    "several parts, asks for a proof or an explanation, refers to a figure that is not there, or "
    "is damaged. Do not solve it.\n\nProblem:\n{problem}\n\nThink briefly, then answer with "
    "\\boxed{keep} or \\boxed{drop}."
)


class SourceColumns(Section):
    """Where problems are, and what their columns are called."""

    name: Name
    """Lower-case letters, digits, `-`, `_` and `.`."""
    source: Checked
    """A file, a hub data set or `toy`, as `data.train` of a training recipe."""
    problem_field: str = "problem"
    """Column with the problem's text."""


class Benchmark(SourceColumns):
    """A benchmark whose problems must not be in the data set."""


class CurateSource(SourceColumns):
    """Where candidates come from; read, and solved, once, however many parts are drawn from it."""

    answer_field: str = "answer"
    r"""Column with the reference answer, or with a worked solution whose last `\boxed` is one."""
    rows: Count = 0
    """How many rows are looked at, the first ones; 0: all."""


class Part(Section):
    """A part of the data set: some of the problems of a source that are left."""

    name: Name
    """Lower-case letters, digits, `-`, `_` and `.`."""
    of: str
    """Name of the source that it is drawn from."""
    count: Count = 0
    """How many problems, drawn at random (`seed`); 0: all."""
    low: Share = 0.0
    """The least pass rate of a problem of this part."""
    high: Share = 1.0
    """The largest: 0.99 leaves out what is always solved."""

    @model_validator(mode="after")
    def _band(self) -> "Part":
        """Refuse a band with nothing in it."""
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g}, above high = {self.high:g}; exchange them")
        return self


class ContaminationSection(Section):
    """When a problem is a benchmark's: docs/curation.md."""

    words: PositiveInt = 3
    """Words of a run that is looked for."""
    overlap: TopP = 0.5
    """Share of a benchmark's runs from which a problem counts as a copy of it."""


class DuplicatesSection(Section):
    """When two problems of the set are one."""

    words: PositiveInt = 3
    """Words of a run that is compared."""
    jaccard: TopP = 0.8
    """Jaccard index of the runs, from which two problems with the same answer are one."""


class RulesSection(Section):
    """What problems are left out for by their text."""

    leave_out: tuple[Rule, ...] = EVERY_RULE
    """Which rules are in force."""
    shortest: Count = 15
    """Characters of a problem, below which it is too short."""
    longest: PositiveInt = 4000
    """Characters of a problem, beyond which it is too long."""


class JudgeSection(Section):
    """A model that reads each problem and says whether to keep it."""

    ask: bool = False
    """Whether it is asked."""
    system_prompt: str = ""
    """System message of what it is asked; empty: none."""
    prompt: str = JUDGE
    r"""What it is asked; `{problem}` becomes the problem's text. It must answer `\boxed{keep}` or
    `\boxed{drop}`."""
    temperature: NotNegative = 0.0
    """0 is greedy."""
    max_tokens: Count = 0
    """Longest answer; 0: `sampler.max_tokens`."""
    nonsense: Share = 0.1
    """Answers that are neither, as a share of all, beyond which the command ends. Below, such
    problems are left out."""

    @field_validator("prompt")
    @classmethod
    def _holds_problem(cls, text: str) -> str:
        """Refuse a question that would be the same for every problem."""
        if PROBLEM not in text:
            raise ValueError(f"it has no {PROBLEM}, so no problem would be judged; put it in")
        return text


class SolveSection(Section):
    """How often the model solves each problem."""

    samples: Annotated[int, Field(ge=0, le=MAX_GROUP_SIZE)] = 0
    """Completions of each problem; 0: it is not asked."""
    temperature: NotNegative = 0.6
    """0 is greedy; then one sample says all there is."""
    top_p: TopP = 0.95
    """Tokens are drawn from the likeliest ones that have this share of the probability."""
    max_tokens: Count = 0
    """Longest completion; 0: `sampler.max_tokens`."""


class CurateSection(Section):
    """Which problems are kept, and by what."""

    sources: Annotated[tuple[CurateSource, ...], Field(min_length=1)]
    """Where candidates come from. Of two that say the same, the first in this order stays."""
    parts: tuple[Part, ...] = ()
    """What the data set is mixed of; a problem is in the first of the parts that draws it. Empty:
    all that is left, a part for each source."""
    benchmarks: tuple[Benchmark, ...] = ()
    """Whose problems must not be in it."""
    contamination: ContaminationSection = ContaminationSection()
    duplicates: DuplicatesSection = DuplicatesSection()
    rules: RulesSection = RulesSection()
    judge: JudgeSection = JudgeSection()
    solve: SolveSection = SolveSection()
    in_flight: PositiveInt = 2048
    """Completions that are asked for at once, of all samplers together."""

    @field_validator("sources", "parts", "benchmarks")
    @classmethod
    def _apart(cls, named: tuple[Named, ...]) -> tuple[Named, ...]:
        """Refuse two of one name."""
        refuse_double(named, "two")
        return named

    @model_validator(mode="after")
    def _parts_of_sources(self) -> "CurateSection":
        """Refuse a part of a source that there is not, and a source of which there is no part."""
        names = [each.name for each in self.sources]
        for part in self.parts:
            if part.of not in names:
                raise ValueError(
                    f"parts {part.name!r} is of {part.of!r}, but the sources are {', '.join(names)}"
                )
        if idle := set(names) - {part.of for part in self.mixed_of}:
            raise ValueError(f"no part is of {min(idle)!r}; add one, or leave that source out")
        return self

    @property
    def mixed_of(self) -> tuple[Part, ...]:
        """The parts, named or not."""
        return self.parts or tuple(Part(name=each.name, of=each.name) for each in self.sources)

    @property
    def asks_model(self) -> bool:
        """Is a ring needed?"""
        return self.judge.ask or self.solve.samples > 0


class CurateRecipe(RingRecipe):
    """Everything that decides what data set comes out."""

    model: ModelSection = ModelSection(path="")
    """Needed where a model is asked."""
    curate: CurateSection

    @model_validator(mode="after")
    def _model_possible(self) -> "CurateRecipe":
        """Refuse to ask nobody, and to ask the toy for what it does not know."""
        if self.curate.asks_model and not self.model.path:
            raise ValueError(
                "model.path is missing, but curate.judge.ask or curate.solve.samples asks a model; "
                "name it"
            )
        return self

    @model_validator(mode="after")
    def _bands_known(self) -> "CurateRecipe":
        """Refuse a band of a pass rate that nobody measures."""
        for part in self.curate.parts:
            if (part.low, part.high) != (0, 1) and not self.curate.solve.samples:
                raise ValueError(
                    f"curate.parts {part.name!r} wants pass rates from {part.low:g} to "
                    f"{part.high:g}, but curate.solve.samples is 0; set it, or leave the band out"
                )
        return self

    @model_validator(mode="after")
    def _samples_possible(self) -> "CurateRecipe":
        """Refuse more than a sampler takes, longer than it is started for, or the same twice."""
        solve, sampler = self.curate.solve, self.sampler
        if solve.samples > sampler.max_sequences:
            raise ValueError(
                f"curate.solve.samples is {solve.samples}, more than a sampler takes "
                f"(sampler.max_sequences = {sampler.max_sequences}); lower it or raise that"
            )
        if solve.temperature == 0 and solve.samples > 1:
            raise ValueError(
                f"curate.solve.samples is {solve.samples}, but at curate.solve.temperature = 0 all "
                "are the same; set it to 1, or raise the temperature"
            )
        for key, tokens in (("judge", self.curate.judge.max_tokens), ("solve", solve.max_tokens)):
            if tokens > sampler.max_tokens:
                raise ValueError(
                    f"curate.{key}.max_tokens is {tokens}, longer than the model is run with "
                    f"(sampler.max_tokens = {sampler.max_tokens}); lower it or raise that"
                )
        return self
