"""The mix: which of the candidates that are left go into which part, drawn by a seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openrs_core.recipe.curate import CurateRecipe, Part
from services.curator.candidates import Candidate
from services.curator.funnel import Why


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a model solved a problem."""

    correct: int
    samples: int
    """Those whose answer could be verified; at least one."""

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return self.correct / self.samples


@dataclass(frozen=True, slots=True)
class Chosen:
    """A problem of the data set."""

    candidate: Candidate
    part: str
    rate: Rate | None
    """None where no model was asked to solve it."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The data set."""

    chosen: list[Chosen]
    short: dict[str, int]
    """Parts for which there were fewer than asked for, and how many fewer."""


def mix(
    recipe: CurateRecipe, candidates: Sequence[Candidate], rates: Mapping[str, Rate]
) -> Mixture:
    """Draw the parts one after another, each from what the earlier ones left.

    `rates` by id; empty where no model was asked. The order is that of the parts and, within one,
    of its source.
    """
    taken: set[str] = set()
    chosen, short = [], {}
    for part in recipe.curate.mixed_of:
        there = [each for each in candidates if each.id not in taken and _fits(part, each, rates)]
        drawn = _drawn(there, part.count, f"{recipe.seed}/{part.name}")
        taken |= {each.id for each in drawn}
        chosen += [Chosen(each, part.name, rates.get(each.id)) for each in drawn]
        if len(drawn) < part.count:
            short[part.name] = part.count - len(drawn)
    return Mixture(chosen, short)


def not_chosen(
    recipe: CurateRecipe,
    candidates: Sequence[Candidate],
    rates: Mapping[str, Rate],
    mixture: Mixture,
) -> dict[str, Why]:
    """Why the others are in no part, by id."""
    inside = {each.candidate.id for each in mixture.chosen}
    faults = {}
    for each in candidates:
        if each.id not in inside:
            fits = any(_fits(part, each, rates) for part in recipe.curate.mixed_of)
            faults[each.id] = Why("not drawn" if fits else "its pass rate is in no part's band")
    return faults


def _fits(part: Part, candidate: Candidate, rates: Mapping[str, Rate]) -> bool:
    if candidate.source != part.of:
        return False
    rate = rates.get(candidate.id)
    return rate is None or part.low <= rate.value <= part.high


def _drawn(there: list[Candidate], count: int, seed: str) -> list[Candidate]:
    """So many of them, in their order; all where count is 0 or there are not more."""
    if not count or len(there) <= count:
        return there
    places = random.Random(seed).sample(range(len(there)), count)
    return [there[place] for place in sorted(places)]
