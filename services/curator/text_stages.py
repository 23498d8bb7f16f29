"""The stages that look at texts alone: contamination, near-duplicates, rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from openrs_core.errors import RunError
from openrs_core.recipe.curate import Benchmark, CurateRecipe, CurateSection
from services.curator.candidates import Candidate
from services.curator.contamination import Benchmarks, Hit
from services.curator.criteria import REASONS, Lengths, fault
from services.curator.duplicates import near_duplicates
from services.curator.funnel import Why
from services.issuing.progress import reported
from services.issuing.sources import Named, Unreadable, read_rows


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate that is a benchmark's."""

    candidate: Candidate
    hit: Hit


def read_benchmarks(recipe: CurateRecipe) -> Benchmarks:
    """The problems that must not be in the data set.

    Raises:
        RunError: a benchmark is missing or damaged, or a row of it holds no problem: what is not
            known cannot be kept out.
    """
    rules = recipe.curate.contamination
    known = (pair for each in recipe.curate.benchmarks for pair in _problems(each, recipe))
    return Benchmarks(known, size=rules.words, least=rules.overlap)


def contaminated(candidates: Sequence[Candidate], benchmarks: Benchmarks) -> list[Found]:
    """The candidates that are a benchmark's."""
    looked_at = reported(candidates, "comparing with the benchmarks", len(candidates))
    hits = ((each, benchmarks.hit(each.problem)) for each in looked_at)
    return [Found(each, hit) for each, hit in hits if hit]


def repeated(candidates: Sequence[Candidate], rules: CurateSection) -> dict[str, Why]:
    """The candidates that say what an earlier one says, by id."""
    texts = [(each.problem, each.answer) for each in candidates]
    found = near_duplicates(texts, size=rules.duplicates.words, least=rules.duplicates.jaccard)
    return {
        candidates[place].id: Why("it says the same as another", candidates[kept].id)
        for place, kept in found.items()
    }


def unfit(candidates: Sequence[Candidate], rules: CurateSection) -> dict[str, Why]:
    """The candidates that break a rule, by id."""
    chosen = frozenset(rules.rules.leave_out)
    lengths = Lengths(rules.rules.shortest, rules.rules.longest)
    broken = ((each.id, fault(each.problem, chosen, lengths)) for each in candidates)
    return {name: Why(REASONS[rule]) for name, rule in broken if rule}


def _problems(benchmark: Benchmark, recipe: CurateRecipe) -> Iterator[tuple[str, str]]:
    """Name and text of each: `aime24/60`."""
    field = benchmark.problem_field
    data = recipe.data.model_copy(update={"problem_field": field, "answer_field": field})
    key = f"curate.benchmarks.{benchmark.name}.source"
    named = Named(key=key, text=benchmark.source, split="held_out", data=data)
    empty = True
    for number, columns in read_rows(named, recipe):
        if isinstance(columns, Unreadable):
            raise RunError(f"{named}: row {number}: {columns.reason}; mend it")
        text = columns.get(field)
        if not isinstance(text, str) or not text.strip():
            there = ", ".join(map(str, columns))[:200]
            raise RunError(
                f"{named}: row {number}: it has no text in {field!r} (there are: {there}; set "
                f"curate.benchmarks.{benchmark.name}.problem_field)"
            )
        empty = False
        name = str(columns.get("id") or number)
        yield name if name.startswith(f"{benchmark.name}/") else f"{benchmark.name}/{name}", text
    if empty:
        raise RunError(f"{named}: it is empty; give its problems, or leave it out")
