"""The problems that may come into the data set: every usable row of every source.

A source is read once, however many parts name it; it has the name of the first of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from openrs_core.errors import RunError
from openrs_core.recipe.curate import CurateRecipe, Part
from services.issuing.progress import reported
from services.issuing.references import read_answers
from services.issuing.rows import LeftOut, Row, usable
from services.issuing.sources import Named, read_rows


@dataclass(frozen=True, slots=True)
class Candidate:
    """A problem with a reference answer against which something can be verified."""

    id: str
    """Unique: the source's name and the row's `id`, or its number where that is not unique."""
    source: str
    """The name of its source."""
    number: int
    """Of its row there, from 1."""
    problem: str
    answer: str


@dataclass(frozen=True, slots=True)
class SourceRows:
    """What was read of one source."""

    name: str
    candidates: list[Candidate]
    left_out: Mapping[str, Sequence[int]]
    """Numbers of the rows that cannot be used, by reason."""


def source_names(parts: Sequence[Part]) -> dict[str, str]:
    """Name of a part -> name of its source."""
    first: dict[tuple[str, str, str], str] = {}
    return {
        part.name: first.setdefault((part.source, part.problem_field, part.answer_field), part.name)
        for part in parts
    }


def read_sources(recipe: CurateRecipe) -> Iterator[SourceRows]:
    """The sources, one by one, in the order of the parts.

    Raises:
        RunError: one is missing or damaged, or holds nothing that can be used, or a row that
            cannot where rows are checked strictly (`data.strict`).
    """
    names = source_names(recipe.curate.parts)
    for part in recipe.curate.parts:
        if names[part.name] == part.name:
            yield _read(part, recipe)


def refuse_unusable(recipe: CurateRecipe) -> None:
    """Look into each source, before anything is started: is there a row that can be used?

    Raises:
        RunError: a source is missing or damaged, or has none.
    """
    for part in recipe.curate.parts:
        named = _named(part, recipe)
        left_out = LeftOut(str(named))
        if next(_usable(named, recipe, left_out), None) is None:
            raise _nothing(named, left_out)


def _read(part: Part, recipe: CurateRecipe) -> SourceRows:
    named = _named(part, recipe)
    left_out = LeftOut(str(named), strict=named.data.strict)
    rows = list(_verifiable(list(_usable(named, recipe, left_out)), left_out))
    if not rows:
        raise _nothing(named, left_out)
    return SourceRows(part.name, _candidates(part.name, rows), left_out.reasons)


def _named(part: Part, recipe: CurateRecipe) -> Named:
    columns = {"problem_field": part.problem_field, "answer_field": part.answer_field}
    data = recipe.data.model_copy(update=columns)
    return Named(key=f"curate.parts.{part.name}.source", text=part.source, split="train", data=data)


def _usable(named: Named, recipe: CurateRecipe, left_out: LeftOut) -> Iterator[Row]:
    numbered = reported(read_rows(named, recipe), f"reading {named.key}")
    return usable(numbered, named.data, left_out, named.key.removesuffix(".source"))


def _nothing(named: Named, left_out: LeftOut) -> RunError:
    why = f": {left_out}" if left_out else "; it is empty"
    return RunError(f"{named}: it holds no problem that can be used{why}")


def _verifiable(rows: list[Row], left_out: LeftOut) -> Iterator[Row]:
    """The rows whose answer math-verify can read: every one is tried, as it is to be trained on."""
    found = read_answers((row.answer for row in rows), every=True)
    for row in rows:
        if fault := found.unreadable.get(row.answer):
            left_out.add(row.number, fault)
        else:
            yield row


def _candidates(name: str, rows: list[Row]) -> list[Candidate]:
    often = Counter(row.prompt_id for row in rows)
    return [
        Candidate(
            id=f"{name}/{row.prompt_id if often[row.prompt_id] == 1 else f'row-{row.number}'}",
            source=name, number=row.number, problem=row.problem, answer=row.answer,
        )
        for row in rows
    ]  # fmt: skip
