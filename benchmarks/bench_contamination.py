"""Which copies of benchmark problems are found, and how many clean problems are lost for it.

Needs the six benchmarks (see tests/benchmark_problems.py). Prints, for runs of several lengths and
several shares, what of retyped, renumbered and reworded copies of all of them is found; and of the
500 problems of MATH-500 how many would be lost for the other five, which they are not in. Beside
it what is usual elsewhere, any run of 8 or 13 words in common, and one share alone. In the end what
the rules would leave out, and the time for 40,000.

    python -m benchmarks.bench_contamination
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from services.curator.contamination import SHORT, Benchmarks
from services.curator.criteria import REASONS, Lengths, fault
from services.curator.duplicates import near_duplicates
from services.curator.words import masked, runs, words
from tests.benchmark_problems import benchmark_problems
from tests.planted_problems import clean
from tests.rewordings import both, renumbered, retyped, reworded

SIZES, SHARES = (3, 4, 5, 8, 13), (0.4, 0.5, 0.6)
COPIES: tuple[tuple[str, Callable[[str, object], str]], ...] = (
    ("retyped", retyped), ("renumbered", renumbered), ("reworded", reworded), ("both", both),
)  # fmt: skip
MANY = 40_000

Problems = list[tuple[str, str]]
Run = tuple[str, ...]


def main() -> None:
    """Print the tables."""
    everything = [(row.name, row.problem) for row in benchmark_problems()]
    math500 = [row for row in everything if row[0].startswith("math500/")]
    others = [row for row in everything if not row[0].startswith("math500/")]
    print("words  share  " + "  ".join(name for name, _ in COPIES) + "  lost of 500  lost of 1547")
    for size in SIZES:
        for share in SHARES:
            by_share(everything, others, math500, size, share)
    for size in (8, 13):
        by_any_run(everything, others, math500, size)
    for name, weigh in ALTERNATIVES:
        by_one_share(everything, others, math500, name, weigh)
    rules(everything)
    speed(everything)


def by_share(
    everything: Problems, others: Problems, math500: Problems, size: int, share: float
) -> None:
    """One row: what this repository does."""
    known = Benchmarks(everything, size=size, least=share)
    found = [
        sum(known.hit(make(text, name)) is not None for name, text in everything) / len(everything)
        for _, make in COPIES
    ]
    without = Benchmarks(others, size=size, least=share)
    lost = sum(without.hit(text) is not None for _, text in math500)
    print(
        f"{size:5}  {share:5}  " + "  ".join(f"{each:.1%}" for each in found)
        + f"  {lost}  {lost_anywhere(everything, size, share)}",
        flush=True,
    )  # fmt: skip


def lost_anywhere(everything: Problems, size: int, share: float) -> int:
    """Problems of each benchmark that would be lost for the five others."""
    names = dict.fromkeys(name.partition("/")[0] for name, _ in everything)
    lost = 0
    for each in names:
        rest = [row for row in everything if row[0].partition("/")[0] != each]
        known = Benchmarks(rest, size=size, least=share)
        ours = [text for name, text in everything if name.partition("/")[0] == each]
        lost += sum(known.hit(text) is not None for text in ours)
    return lost


def by_any_run(everything: Problems, others: Problems, math500: Problems, size: int) -> None:
    """One row: a problem is a copy if one run of so many words is a benchmark's."""
    index = {run for _, text in everything for run in runs(words(text), size)}
    without = {run for _, text in others for run in runs(words(text), size)}
    found = [
        sum(not index.isdisjoint(runs(words(make(text, name)), size)) for name, text in everything)
        / len(everything)
        for _, make in COPIES
    ]
    lost = sum(not without.isdisjoint(runs(words(text), size)) for _, text in math500)
    print(f"any run of {size}: " + "  ".join(f"{each:.1%}" for each in found) + f"  {lost}")


def plain(text: str) -> list[str]:
    """Numbers as they stand."""
    return words(text)


def hidden(text: str) -> list[str]:
    """Numbers masked."""
    return masked(words(text))


Weigh = Callable[[Counter[Run], int], Callable[[Run], float]]


def alike(_often: Counter[Run], _count: int) -> Callable[[Run], float]:
    """Every run weighs the same."""
    return lambda _: 1.0


def by_rarity(often: Counter[Run], count: int) -> Callable[[Run], float]:
    """Inverse document frequency over the benchmarks: ln((n + 1) / n with the run)."""
    return lambda run: math.log((count + 1) / max(1, often[run]))


ALTERNATIVES: tuple[tuple[str, tuple[Callable[[str], list[str]], Weigh]], ...] = (
    ("numbers as they stand, alone", (plain, alike)),
    ("numbers masked, alone", (hidden, alike)),
    ("numbers masked, weighed by rarity", (hidden, by_rarity)),
)


def by_one_share(
    everything: Problems,
    others: Problems,
    math500: Problems,
    name: str,
    how: tuple[Callable[[str], list[str]], Weigh],
) -> None:
    """One row: a problem is a copy if one share of runs of 3 words is at least a half."""
    find, without = best_share(everything, *how), best_share(others, *how)
    found = [
        sum(find(make(text, label)) >= 0.5 for label, text in everything) / len(everything)
        for _, make in COPIES
    ]
    lost = sum(without(text) >= 0.5 for _, text in math500)
    print(f"{name}: " + "  ".join(f"{each:.1%}" for each in found) + f"  {lost}", flush=True)


def best_share(
    known: Problems, form: Callable[[str], list[str]], weigh: Weigh
) -> Callable[[str], float]:
    """The largest share of a known problem's runs that a text has; short ones by Dice."""
    of = {name: runs(form(text), 3) for name, text in known}
    index: dict[Run, list[str]] = defaultdict(list)
    for name, found in of.items():
        for run in found:
            index[run].append(name)
    weight = weigh(Counter({run: len(names) for run, names in index.items()}), len(known))

    def total(found: Counter[Run]) -> float:
        return sum(weight(run) * times for run, times in found.items())

    totals = {name: total(found) for name, found in of.items()}

    def best(text: str) -> float:
        ours = runs(form(text), 3)
        shared: Counter[str] = Counter()
        for run, times in ours.items():
            for name in index.get(run, ()):
                shared[name] += weight(run) * min(times, of[name][run])
        whole = total(ours)
        return max(
            (
                both / totals[name] if of[name].total() >= SHORT
                else 2 * both / (totals[name] + whole)
                for name, both in shared.items() if totals[name] + whole
            ),
            default=0.0,
        )  # fmt: skip

    return best


def rules(everything: Problems) -> None:
    """How many problems of the benchmarks each rule would leave out."""
    for rule in REASONS:
        out = sum(
            fault(text, frozenset([rule]), Lengths(15, 4000)) is not None for _, text in everything
        )
        print(f"{rule}: {out} of {len(everything)}")


def speed(everything: Problems) -> None:
    """Seconds for many problems, of the benchmarks' lengths."""
    known = Benchmarks(everything, size=3, least=0.5)
    texts = [row.problem for row in clean(MANY // 2)]
    texts += [renumbered(everything[n % len(everything)][1], n) for n in range(MANY - len(texts))]
    begun = time.perf_counter()
    for text in texts:
        known.hit(text)
    compared = time.perf_counter()
    near_duplicates([(text, "1") for text in texts], size=3, least=0.8)
    print(
        f"{len(texts)} problems: {compared - begun:.1f} s against the benchmarks, "
        f"{time.perf_counter() - compared:.1f} s against each other"
    )


if __name__ == "__main__":
    main()
