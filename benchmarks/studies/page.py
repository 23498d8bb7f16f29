"""Tables and pictures of docs/studies.md, from what is known."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.studies.numbers import estimates
from benchmarks.studies.results import LAST, Result, kept, of_arm
from benchmarks.studies.study import ROOT, Arm, Study
from services.evaluator.pictures import STYLE

PAGE = ROOT / "docs" / "studies.md"
PICTURES = ROOT / "docs" / "pictures"
COLUMNS = (
    "arm", "seeds", "accuracy, end", "accuracy, best", "sampled", "tokens", "cut off",
    "staleness", "least ESS", "steps",
)  # fmt: skip
SMOOTH = 5
"""Steps that a point of a curve is the mean of."""
POINTS = 50
"""Of a curve, at most twice as many."""

plt.style.use(STYLE)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one arm."""

    arm: Arm
    results: list[Result]


def write(study: Study) -> None:
    """Write the study's table into the page, and its picture."""
    everything = kept(study)
    known = [Known(a, of_arm(study, a, everything)) for a in (*study.arms, *study.more)]
    known = [each for each in known if each.results]
    if not known:
        return
    picture = PICTURES / f"study-{study.name}.svg"
    _draw(study, known, picture)
    block = f"{_table(known)}\n\n![{study.title}](pictures/{picture.name})\n\n{_made(known)}"
    marked = re.compile(rf"(<!-- {study.name} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, found = marked.subn(lambda m: f"{m[1]}{block}\n{m[2]}", PAGE.read_text())
    if not found:
        raise SystemExit(f"{PAGE}: there is no <!-- {study.name} --> ... <!-- end -->")
    PAGE.write_text(text)


def _table(known: Sequence[Known]) -> str:
    last = estimates([[result.last for result in each.results] for each in known])
    best = estimates([[result.best for result in each.results] for each in known])
    rows = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for each, end, top in zip(known, last, best, strict=True):
        cells = [each.arm.name, str(len(each.results)), str(end), str(top), *_facts(each.results)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _facts(results: Sequence[Result]) -> list[str]:
    sampled = fmean(_end(result.accuracy) for result in results)
    tokens = fmean(_end(result.tokens) for result in results)
    truncated = fmean(_end(result.truncated) for result in results)
    staleness = fmean(result.staleness for result in results)
    steps = ", ".join(map(_steps, results))
    least = min(result.ess for result in results)
    return [
        f"{sampled:.2f}",
        f"{tokens:.1f}",
        f"{truncated:.3f}",
        f"{staleness:.1f}",
        f"{least:.2f}",
        steps,
    ]


def _steps(result: Result) -> str:
    """How many, and how it ended if it was not the last."""
    how = "" if result.ended == "finished" else f" ({result.ended.partition(';')[0]})"
    return f"{result.steps}{how}"


def _end(values: Sequence[float | None]) -> float:
    found = [value for value in values if value is not None][-LAST:]
    return fmean(found) if found else float("nan")


def _made(known: Sequence[Known]) -> str:
    results = [result for each in known for result in each.results]
    machines = " and ".join(sorted({result.machine for result in results}))
    dates = sorted({result.date for result in results})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    commits = ", ".join(sorted({result.commit for result in results}))
    minutes = sum(result.seconds for result in results) / 60
    return f"{len(results)} runs, {minutes:.0f} minutes; {machines}; {when}; commit {commits}."


def _draw(study: Study, known: Sequence[Known], path: Path) -> None:
    panels = study.panels or (("", tuple(each.arm.name for each in known)),)
    figure, axes = plt.subplots(
        2, len(panels), figsize=(3.2 * len(panels) + 1.5, 4.2), sharex=True, sharey="row",
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for column, (title, names) in enumerate(panels):
        shown = [each for each in known if each.arm.name in names]
        _lines(axes[0][column], shown, lambda result: result.accuracy)
        _lines(axes[1][column], shown, lambda result: result.tokens)
        axes[0][column].set(title=title, ylim=(0, 1))
        axes[1][column].set(xlabel="step")
        axes[0][column].legend(fontsize=6, frameon=False)
    axes[0][0].set(ylabel="accuracy of all that was sampled")
    axes[1][0].set(ylabel="tokens of a completion")
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    plt.close(figure)
    path.write_text(re.sub(r"(\.\d\d)\d+", r"\1", drawn.getvalue()))  # a hundredth of a point


def _lines(
    axes: Axes, known: Sequence[Known], values: Callable[[Result], Sequence[float | None]]
) -> None:
    for number, each in enumerate(known):
        color = f"C{number}"
        for result in each.results:
            axes.plot(*_curve(values(result)), color=color, linewidth=0.5, alpha=0.6)
        axes.plot(*_mean_curve([values(r) for r in each.results]), color=color, linewidth=1.6,
                  label=each.arm.name)  # fmt: skip


def _mean_curve(rows: Sequence[Sequence[float | None]]) -> tuple[list[int], list[float]]:
    longest = max(map(len, rows))
    columns = [[r[i] for r in rows if i < len(r) and r[i] is not None] for i in range(longest)]
    return _curve([fmean(column) if column else None for column in columns])  # type: ignore[type-var]


def _curve(values: Sequence[float | None]) -> tuple[list[int], list[float]]:
    """Steps, and the mean of the last few values up to each."""
    places = range(1, len(values) + 1, max(1, len(values) // POINTS))
    points = [(i, [v for v in values[max(0, i - SMOOTH) : i] if v is not None]) for i in places]
    there = [(i, round(fmean(near), 4)) for i, near in points if near]
    return [i for i, _ in there], [value for _, value in there]
