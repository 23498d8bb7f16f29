"""The problems that may come into the data set: every usable row of every source.

A source is read once, however many parts are drawn from it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from openrs_core.errors import RunError
from openrs_core.recipe.curate import CurateRecipe, CurateSource
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


def read_sources(recipe: CurateRecipe) -> Iterator[SourceRows]:
    """The sources, one by one.

    Raises:
        RunError: one is missing or damaged, or holds nothing that can be used, or a row that
            cannot where rows are checked strictly (`data.strict`).
    """
    for rules in recipe.curate.sources:
        yield _read(rules, recipe)


def refuse_unusable(recipe: CurateRecipe) -> None:
    """Look into each source, before anything is started: is there a row that can be used?

    Raises:
        RunError: a source is missing or damaged, or has none.
    """
    for rules in recipe.curate.sources:
        named = _named(rules, recipe)
        left_out = LeftOut(str(named))
        if next(_usable(rules, named, recipe, left_out), None) is None:
            raise _nothing(named, left_out)


def _read(rules: CurateSource, recipe: CurateRecipe) -> SourceRows:
    named = _named(rules, recipe)
    left_out = LeftOut(str(named), strict=named.data.strict)
    rows = list(_verifiable(list(_usable(rules, named, recipe, left_out)), left_out))
    if not rows:
        raise _nothing(named, left_out)
    return SourceRows(rules.name, _candidates(rules.name, rows), left_out.reasons)


def _named(rules: CurateSource, recipe: CurateRecipe) -> Named:
    columns = {"problem_field": rules.problem_field, "answer_field": rules.answer_field}
    data = recipe.data.model_copy(update=columns)
    key = f"curate.sources.{rules.name}.source"
    return Named(key=key, text=rules.source, split="train", data=data)


def _usable(
    rules: CurateSource, named: Named, recipe: CurateRecipe, left_out: LeftOut
) -> Iterator[Row]:
    rows = islice(read_rows(named, recipe), rules.rows or None)
    section = named.key.removesuffix(".source")
    return usable(reported(rows, f"reading {named.key}"), named.data, left_out, section)


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
