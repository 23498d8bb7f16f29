"""Near-duplicates within a set: of problems that say nearly the same, the first is kept.

Two are near-duplicates when they have the same words, or when their answers are equal and the
Jaccard index of their runs of words is at least `least` (numbers as they stand: the same words with
other numbers are another problem). Exact, not by MinHash: of a problem's runs only the rarest are
looked up, so many that two sets with none of them in common cannot be as similar (the prefix
filter: Chaudhuri, Ganti, Kaushik 2006). Deterministic: the order of the problems decides.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from services.curator.words import words

Run = int
"""A run of words, by the order in which they were first met: a number is less to keep."""


def near_duplicates(
    problems: Sequence[tuple[str, str]], *, size: int, least: float
) -> dict[int, int]:
    """Place of each that goes -> place of the one that is kept for it.

    `problems`: a text and an answer each; `size`: words of a run; `least`: in (0, 1].
    """
    texts = [words(text) for text, _ in problems]
    answers = [tuple(words(answer)) or answer for _, answer in problems]
    known: dict[tuple[str, ...], Run] = {}
    sets = [_runs(text, size, known) for text in texts]
    often = Counter(run for found in sets for run in found)
    kept: dict[tuple[str, ...], int] = {}
    index: dict[tuple[object, Run], list[int]] = defaultdict(list)
    gone: dict[int, int] = {}
    for place, found in enumerate(sets):
        rarest = _prefix(found, often, least)
        near = {other for run in rarest for other in index[answers[place], run]}
        same = kept.get(tuple(texts[place]))
        alike = (other for other in sorted(near) if _jaccard(found, sets[other]) >= least)
        if (first := same if same is not None else next(alike, None)) is not None:
            gone[place] = first
            continue
        kept[tuple(texts[place])] = place
        for run in rarest:
            index[answers[place], run].append(place)
    return gone


def _runs(text: Sequence[str], size: int, known: dict[tuple[str, ...], Run]) -> frozenset[Run]:
    found = zip(*(text[start:] for start in range(size)), strict=False)
    runs = found if len(text) > size else [tuple(text)]
    return frozenset(known.setdefault(run, len(known)) for run in runs)


def _prefix(found: frozenset[Run], often: Counter[Run], least: float) -> list[Run]:
    """The rarest of the runs: |A| - ceil(least |A|) + 1 of them."""
    count = len(found) - math.ceil(least * len(found) - 1e-9) + 1
    return sorted(found, key=lambda run: (often[run], run))[:count]


def _jaccard(one: frozenset[Run], other: frozenset[Run]) -> float:
    return len(one & other) / len(one | other)
