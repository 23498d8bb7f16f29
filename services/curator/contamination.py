r"""Is a problem one of a benchmark's? Exactly, inside another text, renumbered, or reworded.

A problem is compared as words (`words`). In this order the first that holds is reported:

    exact       the same words
    contained   the benchmark's words as one run inside the problem, WHOLE or more of them; or the
                problem's inside the benchmark's, FRAGMENT or more
    renumbered  the same words but for the numbers, FEW or more of them
    overlap     the mean of two shares is at least `least`: of the benchmark's runs of `size` words
                that the problem has too, with numbers as they stand, and with numbers masked.
                A benchmark with fewer than SHORT runs is weighed against the problem as well
                (Dice), so that what is short is not found in everything

The share is that of multisets: `\sin^2 4 + \sin^2 8` has runs twice. Why runs of three words, and
why the mean: docs/decisions/0032; the longer runs that are usual find copies alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from services.curator.words import Runs, masked, runs, words

How = Literal["exact", "contained", "renumbered", "overlap"]

WHOLE = 7
"""Words that a benchmark has at least when it is looked for inside a problem."""

FRAGMENT = 12
"""Words that a problem has at least when it is looked for inside a benchmark's."""

FEW = 8
"""Words of which a problem with other numbers or words counts as the same: with fewer, `Compute
3 + 4` would be `Compute 3 + 5`."""

SHORT = 16
"""Runs below which the length of the problem counts too."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A problem of a benchmark, found again."""

    benchmark: str
    """Which one: `aime24/60`."""
    how: How
    overlap: float
    """From 0 to 1; 1 unless it is an overlap."""


@dataclass(slots=True)
class _Known:
    """What is kept of a benchmark's problem."""

    name: str
    words: list[str]
    plain: Runs = field(init=False)
    masked: Runs = field(init=False)


class Benchmarks:
    """The problems that must not be trained on, in an index."""

    def __init__(self, problems: Iterable[tuple[str, str]], *, size: int, least: float) -> None:
        """`problems`: a name and a text each; `size`, `least`: of an overlap, see above."""
        self._size, self._least = size, least
        self._exact: dict[tuple[str, ...], str] = {}
        self._renumbered: dict[tuple[str, ...], str] = {}
        self._places: dict[tuple[str, ...], list[tuple[_Known, int]]] = defaultdict(list)
        self._with: dict[tuple[str, ...], list[tuple[_Known, int]]] = defaultdict(list)
        self.count = 0
        for name, text in problems:
            self._add(_Known(name, words(text)))

    def hit(self, text: str) -> Hit | None:
        """The benchmark's problem that this one is, if it is one."""
        found = words(text)
        hidden = masked(found)
        if name := self._exact.get(tuple(found)):
            return Hit(name, "exact", 1.0)
        if name := self._inside(found):
            return Hit(name, "contained", 1.0)
        if name := self._renumbered.get(tuple(hidden)):
            return Hit(name, "renumbered", 1.0)
        return self._overlap(runs(found, self._size), runs(hidden, self._size))

    def _add(self, known: _Known) -> None:
        if not known.words:
            return
        self.count += 1
        hidden = masked(known.words)
        known.plain, known.masked = runs(known.words, self._size), runs(hidden, self._size)
        self._exact.setdefault(tuple(known.words), known.name)
        for start in range(len(known.words) - WHOLE + 1):
            self._places[tuple(known.words[start : start + WHOLE])].append((known, start))
        if len(known.words) < FEW:
            return
        self._renumbered.setdefault(tuple(hidden), known.name)
        for run, times in known.masked.items():
            self._with[run].append((known, times))

    def _inside(self, found: list[str]) -> str | None:
        """The benchmark's problem that stands in the words, or in which they stand."""
        for start in range(len(found) - WHOLE + 1):
            for known, at in self._places.get(tuple(found[start : start + WHOLE]), ()):
                size = len(known.words)
                if at == 0 and found[start : start + size] == known.words:
                    return known.name
                if start == 0 and len(found) >= FRAGMENT and _stand_at(found, known.words, at):
                    return known.name
        return None

    def _overlap(self, plain: Runs, hidden: Runs) -> Hit | None:
        """The largest; of equal ones that of the first benchmark."""
        shared: Counter[str] = Counter()
        there: dict[str, _Known] = {}
        for run, times in hidden.items():
            for known, theirs in self._with.get(run, ()):
                shared[known.name] += min(times, theirs)
                there[known.name] = known
        best: Hit | None = None
        for name, known in there.items():
            upper = _share(shared[name], known.masked, hidden)
            if upper < self._least:  # the share with numbers is never larger
                continue
            both = (upper + _share((known.plain & plain).total(), known.plain, plain)) / 2
            if both >= self._least and (best is None or both > best.overlap):
                best = Hit(name, "overlap", round(both, 4))
        return best


def _share(shared: int, theirs: Runs, ours: Runs) -> float:
    """Of the benchmark's runs; of those of both where it is short (Dice, 1945)."""
    size = theirs.total()
    return shared / size if size >= SHORT else 2 * shared / (size + ours.total())


def _stand_at(part: list[str], whole: list[str], start: int) -> bool:
    return whole[start : start + len(part)] == part
