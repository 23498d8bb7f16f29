"""The pictures of a data set: PNGs, the same bytes from the same numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.curator.funnel import Stage
from services.curator.mixture import Chosen, Rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: Any = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False,
    "savefig.dpi": 150, "figure.figsize": (6.0, 2.8),
}  # fmt: skip

BINS = 10
"""Bars of pass rates: 0 to 10 %, and so on."""


def draw_funnel(stages: Sequence[Stage], target: Path) -> None:
    """How many problems are left after each stage; the first bar is all rows."""
    labels = ["rows", *(stage.name for stage in stages)]
    counts = [stages[0].before, *(stage.kept for stage in stages)]
    with _axes(target) as axes:
        bars = axes.barh(range(len(counts)), counts, color="C0")
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel("problems")


def draw_difficulty(before: Sequence[Rate], chosen: Sequence[Chosen], target: Path) -> None:
    """Pass rates of all that were solved, and of those in the data set, by part."""
    parts = list(dict.fromkeys(each.part for each in chosen))
    with _axes(target) as axes:
        heights = _histogram(before)
        axes.bar(range(BINS + 1), heights, color="0.85", label="all that were asked")
        below = [0] * (BINS + 1)
        for part in parts:
            inside = _histogram([e.rate for e in chosen if e.part == part and e.rate])
            axes.bar(range(BINS + 1), inside, 0.6, bottom=below, label=part)
            below = [low + high for low, high in zip(below, inside, strict=True)]
        axes.set_xticks(range(BINS + 1), [f"{100 * place // BINS}" for place in range(BINS + 1)])
        axes.set(xlabel="pass rate, % (rounded down to tens; 100: always)", ylabel="problems")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)


def _histogram(rates: Sequence[Rate]) -> list[int]:
    """Counts by tenths, rounded down; what is always solved is a bar of its own."""
    counted = Counter(BINS * rate.correct // rate.samples for rate in rates)
    return [counted[place] for place in range(BINS + 1)]


@contextmanager
def _axes(target: Path) -> Iterator["Axes"]:
    """Axes to draw on; written when the block is left."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(_STYLE):  # Figure, not pyplot: nothing global, no window
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.add_subplot()
        figure.savefig(target, format="png", metadata={"Software": None})
