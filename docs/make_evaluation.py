"""Make the tables and the picture of docs/evaluation.md: `make evaluation-tables`.

What was published stands here as it was printed; everything else is computed from it by the
functions that `openrs eval` and `openrs compare` use.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from scipy import integrate, stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from services.evaluator.comparison import detectable
from services.evaluator.detection import Spread, paired_error, paired_samples, unpaired_samples
from services.evaluator.pictures import STYLE
from services.evaluator.statistics import accuracy

PAGE = Path(__file__).with_name("evaluation.md")
PICTURE = PAGE.parent / "pictures" / "detectable.svg"
POINTS, UNEVEN = 0.02, (0.0, 0.05, 0.1)
"""The difference asked about; by how much it may differ from problem to problem (deviation)."""

PROBLEMS = {
    "AIME 2024": 30, "AIME 2025": 30, "AMC 2023": 40, "MATH-500": 500, "Minerva": 272,
    "OlympiadBench": 675,
}  # fmt: skip

# Open-RS, arXiv 2503.16219, table 1, with the counts of its logs: one sample of each problem.
PAPER = {
    "Open-RS1": {"AIME 2024": 9, "AMC 2023": 28, "MATH-500": 419, "Minerva": 79,
                 "OlympiadBench": 354},
    "Open-RS2": {"AIME 2024": 9, "AMC 2023": 32, "MATH-500": 427, "Minerva": 83,
                 "OlympiadBench": 354},
    "Open-RS3": {"AIME 2024": 14, "AMC 2023": 29, "MATH-500": 422, "Minerva": 73,
                 "OlympiadBench": 346},
}  # fmt: skip
EXPERIMENT_3 = (14, 9, 13, 7, 10, 8, 7, 9)
"""AIME 2024 of its eight checkpoints, of 30; the first became Open-RS3."""

# Sober Look, arXiv 2504.07086: mean and standard deviation between seeds, one sample each.
SEEDS = {"AIME 2024": 10, "AIME 2025": 10, "AMC 2023": 10, "MATH-500": 3, "Minerva": 3,
         "OlympiadBench": 3}  # fmt: skip
SOBER = {
    "base": ((28.7, 4.8), (22.3, 5.2), (71.5, 3.9), (84.9, 0.3), (30.5, 1.0), (52.4, 0.4)),
    "Open-RS1": ((28.9, 6.0), (21.3, 4.2), (75.0, 3.3), (85.1, 0.8), (30.4, 0.2), (53.2, 1.9)),
    "Open-RS2": ((31.3, 7.7), (22.7, 5.6), (73.0, 5.7), (84.1, 0.2), (29.2, 1.1), (53.7, 0.6)),
    "Open-RS3": ((29.7, 4.6), (24.7, 6.5), (69.2, 5.5), (84.2, 1.1), (28.6, 2.3), (51.8, 0.8)),
    "DeepScaleR": ((37.0, 6.6), (30.3, 4.3), (76.2, 4.6), (87.8, 1.0), (31.0, 1.5), (55.5, 1.1)),
}
# DeepSearch, table 1: avg@32.
SEARCHED = {
    "base": (31.15, 24.06, 72.81, 85.01, 32.18, 51.55),
    "Open-RS1": (30.94, 22.60, 73.05, 84.90, 29.92, 52.82),
    "Open-RS2": (28.96, 24.37, 73.52, 85.06, 29.74, 52.63),
    "Open-RS3": (30.94, 24.79, 72.50, 84.47, 29.11, 52.25),
}

SPREADS = {
    name: Spread.of_seeds(
        problems,
        SOBER["base"][place][0] / 100,
        [found[place][1] / 100 for found in SOBER.values()],
    )
    for place, (name, problems) in enumerate(PROBLEMS.items())
}


def main() -> None:
    """Fill in what stands between the marks of the page, and draw the picture."""
    text = PAGE.read_text()
    for name, rows in (
        ("paper", paper()), ("selection", selection()), ("again", again()),
        ("spread", spread()), ("samples", samples()), ("detectable", smallest()),
    ):  # fmt: skip
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- / -->")
        text = "".join([before, mark, "\n".join(rows), "\n", end, after])
    PAGE.write_text(text)
    draw()


def table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> list[str]:
    """As Markdown, all but the first column set to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return ["", *(f"| {' | '.join(line)} |" for line in lines), ""]


def paper() -> list[str]:
    """The published accuracies with the interval that one sample of so many problems has."""

    def rows() -> Iterator[Sequence[str]]:
        for name, problems in PROBLEMS.items():
            if all(name in counts for counts in PAPER.values()):
                cells = [one_sample(counts[name], problems) for counts in PAPER.values()]
                yield [name, str(problems), *cells]

    return table(["", "problems", *PAPER], rows())


def one_sample(correct: int, problems: int) -> str:
    found = accuracy([1.0] * correct + [0.0] * (problems - correct))
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def selection() -> list[str]:
    """What the best of several equal checkpoints is expected to show."""
    shares = [count / 30 for count in EXPERIMENT_3]
    error = sqrt(SPREADS["AIME 2024"].within / 30)
    gains = {count: best_of(count) * error for count in (8, 21)}
    return [
        f"The mean of its eight checkpoints is {100 * sum(shares) / 8:.1f}. One sample of each "
        f"problem has a standard deviation of {100 * error:.1f} points between draws of the same "
        f"problems, so the best of 8 checkpoints that are all alike is expected "
        f"{100 * gains[8]:.1f} points above their mean, the best of 21 (all three experiments) "
        f"{100 * gains[21]:.1f}."
    ]


def best_of(count: int) -> float:
    """Expectation of the largest of so many standard normal numbers."""
    normal = NormalDist()
    found, _ = integrate.quad(
        lambda x: x * count * normal.pdf(x) * normal.cdf(x) ** (count - 1), -8, 8
    )
    return float(found)


def again() -> list[str]:
    """Re-evaluations: each model less the base model, over draws of the same problems."""

    def rows() -> Iterator[Sequence[str]]:
        for place, name in enumerate(PROBLEMS):
            cells = [welch(SOBER[m][place], SOBER["base"][place], SEEDS[name]) for m in PAPER]
            error = 100 * paired_error(SPREADS[name], 32, 0.0)
            for model in PAPER:
                gain = SEARCHED[model][place] - SEARCHED["base"][place]
                cells.append(f"{gain:+.1f} ± {1.96 * error:.1f}")
            yield [name, *cells]

    heads = ["", *(f"{m}, {SEEDS['AIME 2024']} or 3 seeds" for m in PAPER)]
    return table([*heads, *(f"{m}, avg@32" for m in PAPER)], rows())


def welch(one: tuple[float, float], other: tuple[float, float], seeds: int) -> str:
    """Difference of two means over seeds with the half width of its interval."""
    parts = [deviation**2 / seeds for _, deviation in (one, other)]
    freedom = sum(parts) ** 2 / sum(part**2 / (seeds - 1) for part in parts)
    half = stats.t.ppf(0.975, freedom) * sqrt(sum(parts))
    return f"{one[0] - other[0]:+.1f} ± {half:.1f}"


def spread() -> list[str]:
    """Variance within and between problems."""

    def rows() -> Iterator[Sequence[str]]:
        for name, found in SPREADS.items():
            freedom = len(SOBER) * (SEEDS[name] - 1)
            low, high = (sqrt(freedom / stats.chi2.ppf(p, freedom)) for p in (0.975, 0.025))
            yield [
                name, str(found.problems), f"{100 * found.mean:.1f}", f"{found.within:.3f}",
                f"{found.between:.3f}", f"{found.within / found.between:.2f}",
                f"{low:.2f} to {high:.2f}",
            ]  # fmt: skip

    heads = ["", "problems", "mean, %", "within: E[p(1-p)]", "between: Var(p)", "a + b"]
    return table([*heads, "deviation known to a factor of"], rows())


def samples() -> list[str]:
    """Samples per problem that tell two points."""

    def rows() -> Iterator[Sequence[str]]:
        for name, found in SPREADS.items():
            paired = [paired_samples(found, POINTS, uneven) for uneven in UNEVEN]
            yield [name, *(number(n) for n in (*paired, unpaired_samples(found, POINTS)))]
        average = [fewest(lambda n, u=u: average_error(n, u)) for u in UNEVEN]
        yield ["average of the six", *map(number, [*average, fewest(unpaired_average_error)])]

    heads = [f"paired, uneven by {100 * uneven:.0f}" for uneven in UNEVEN]
    return table(["", *heads, "unpaired"], rows())


def number(found: int | None) -> str:
    return "none will do" if found is None else str(found)


def average_error(count: int, uneven: float) -> float:
    """Standard error of the average's difference, count samples of every problem."""
    return sqrt(sum(paired_error(s, count, uneven) ** 2 for s in SPREADS.values())) / len(SPREADS)


def unpaired_average_error(count: int) -> float:
    """The same where the two are taken as accuracies of different problems."""
    parts = (2 * (s.between + s.within / count) / s.problems for s in SPREADS.values())
    return sqrt(sum(parts)) / len(SPREADS)


def fewest(error: Callable[[int], float]) -> int | None:
    """The fewest samples that tell POINTS, by the error that so many leave; None: no number."""
    return next((n for n in range(1, 10_000) if detectable(error(n)) <= POINTS), None)


def smallest() -> list[str]:
    """The smallest detectable difference by samples per problem, uneven by 5 points."""
    counts = (1, 4, 16, 32, 64)

    def rows() -> Iterator[Sequence[str]]:
        for name, found in SPREADS.items():
            errors = [paired_error(found, count, UNEVEN[1]) for count in counts]
            yield [name, *(f"{100 * detectable(error):.1f}" for error in errors)]
        errors = [average_error(count, UNEVEN[1]) for count in counts]
        yield ["average of the six", *(f"{100 * detectable(error):.1f}" for error in errors)]

    return table(["points", *map(str, counts)], rows())


def draw() -> None:
    """The same as curves."""
    plt.style.use(STYLE)
    counts = [2**power for power in range(9)]
    figure, axes = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
    for name, found in SPREADS.items():
        errors = [paired_error(found, count, UNEVEN[1]) for count in counts]
        axes.plot(counts, [round(100 * detectable(e), 3) for e in errors], label=name)
    errors = [average_error(count, UNEVEN[1]) for count in counts]
    axes.plot(counts, [round(100 * detectable(e), 3) for e in errors], "k--", label="average")
    axes.axhline(100 * POINTS, color="0.7", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, list(map(str, counts)))
    axes.set(xlabel="samples per problem", ylabel="detectable, points", ylim=(0, None))
    axes.legend(fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
