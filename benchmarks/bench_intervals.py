"""How often do the intervals of an evaluation hold the true value? `make bench-intervals`.

Some of the sets only: `python benchmarks/bench_intervals.py DRAWS SET...`.

Problems' chances are drawn from Beta distributions with the mean and the share of variance between
problems that docs/evaluation.md derives for four benchmarks, then samples, then the interval, again
and again. Printed is the share of intervals that hold the true value, of accuracies and of paired
differences between two evaluations of one model, with three kinds of bootstrap: what openrs uses is
BCa for an accuracy and the expanded percentile interval for a difference.

It is no proof for other distributions: where nearly every problem is solved, and few are not, all
three are too narrow (`hard to see` below).
"""

import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from scipy import stats

from services.evaluator.statistics import RESAMPLES, accuracy, difference

SETS = {
    "aime24": (30, 0.29, 1.15), "amc23": (40, 0.72, 0.75), "minerva": (272, 0.30, 0.34),
    "math500": (500, 0.85, 0.30), "hard to see": (40, 0.97, 0.5),
}  # fmt: skip
"""Problems; mean and a + b of the Beta distribution of their chances."""
SAMPLES = (1, 4, 16)
KINDS = ("percentile", "expanded", "BCa")


def main(draws: int, sets: Sequence[str]) -> None:
    """A table, row by row."""
    began = time.monotonic()
    print(f"| set | problems | samples | of | {' | '.join(KINDS)} | as used |")
    print(f"|---|---:|---:|---|{'---:|' * (len(KINDS) + 1)}")
    rng = np.random.default_rng(0)
    for name in sets:
        problems, mean, spread = SETS[name]
        for samples in SAMPLES:
            held: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
            for _ in range(draws):
                p = rng.beta(mean * spread, (1 - mean) * spread, problems)
                one, other = (rng.binomial(samples, p) / samples for _ in range(2))
                held[False].update(holding(one, mean, accuracy(one.tolist())))
                held[True].update(
                    holding(one - other, 0.0, difference(one.tolist(), other.tolist()))
                )
            for paired, of in ((False, "accuracy"), (True, "difference")):
                shares = [f"{100 * held[paired][kind] / draws:.1f}" for kind in (*KINDS, "used")]
                cells = [name, str(problems), str(samples), of, *shares]
                print(f"| {' | '.join(cells)} |", flush=True)
    paired = [exactly_paired(*SETS[name]) for name in ("aime24", "amc23")]
    print("", *map(exactly, (30, 40)), *paired, sep="\n")
    print(f"\n{draws} draws each, {time.monotonic() - began:.0f} s")


def exactly(problems: int) -> str:
    """With one sample there are few outcomes, and the coverage of an accuracy can be computed."""
    found = [accuracy([1.0] * n + [0.0] * (problems - n)) for n in range(problems + 1)]
    held = []
    for truth in np.linspace(0.05, 0.95, 181):
        chance = stats.binom.pmf(np.arange(problems + 1), problems, truth)
        inside = [estimate.low <= truth <= estimate.high for estimate in found]
        held.append(100 * float(chance @ np.array(inside)))
    return (
        f"{problems} problems, one sample, accuracies of 5 to 95 %, exactly: "
        f"{np.mean(held):.1f} in the mean, {min(held):.1f} at least, {held[134]:.1f} at 72 %"
    )


def exactly_paired(problems: int, mean: float, spread: float) -> str:
    """The same of a difference of 0: so many problems more right, so many more wrong."""
    changed = mean * (1 - mean) * spread / (spread + 1)  # E[p (1 - p)], either way
    held = seen = 0.0
    for more in range(problems + 1):
        for less in range(problems + 1 - more):
            same = problems - more - less
            chance = stats.multinomial.pmf(
                (more, less, same), problems, (changed, changed, 1 - 2 * changed)
            )
            if chance < 1e-6:
                continue
            found = difference(
                [1.0] * more + [0.0] * (less + same), [0.0] * (more + same) + [1.0] * less
            )
            held, seen = held + chance * (found.low <= 0 <= found.high), seen + chance
    return f"{problems} problems, one sample, no difference, exactly: {100 * held / seen:.1f}"


def holding(values, truth, used) -> list[str]:
    """Which kinds of interval hold the true value."""
    found = ["used"] if used.low <= truth <= used.high else []
    if np.ptp(values) == 0:  # nothing to resample: no kind has an answer of its own
        return found + (list(KINDS) if found else [])
    count = len(values)
    reach = math.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1)
    drawn = None
    for kind, method, level in (
        ("percentile", "percentile", 0.95),
        ("expanded", "percentile", 2 * NormalDist().cdf(float(reach)) - 1),
        ("BCa", "BCa", 0.95),
    ):
        drawn = stats.bootstrap(
            (np.sort(values),), np.mean, method=method, confidence_level=level,
            n_resamples=0 if drawn else RESAMPLES, rng=np.random.default_rng(0),
            batch=max(1, 2**20 // count), bootstrap_result=drawn,
        )  # fmt: skip
        interval = drawn.confidence_interval
        found += [kind] * bool(interval.low <= truth <= interval.high)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, sys.argv[2:] or list(SETS))
