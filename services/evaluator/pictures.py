"""The pictures of a result and of a comparison: PNGs, the same bytes from the same numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from openrs_core.errors import RunError
from services.evaluator.result import Interval, Result
from services.evaluator.statistics import powers_of_two

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = Path(__file__).with_name("pictures.mplstyle")

Bars = Sequence[tuple[str, float, float, float]]
"""Label, value, and where its interval begins and ends; in percent."""


def draw(result: Result, directory: Path) -> None:
    """accuracy.png, and curves.png where there was more than one sample of a problem."""
    bars = [_bar(found.name, found.accuracy) for found in result.sets]
    if len(bars) > 1:
        bars.append(_bar("average", result.average))
    forest(bars, "accuracy, %, with its 95 % interval over problems", directory / "accuracy.png")
    if max(found.samples for found in result.sets) > 1:
        _curves(result, directory / "curves.png")


def forest(bars: Bars, along: str, target: Path, *, reference: float | None = None) -> None:
    """One line per bar, first at the top: its value and its interval.

    Args:
        bars: what is drawn.
        along: what the axis says.
        target: the file, a PNG.
        reference: where a vertical line stands.

    Raises:
        RunError: the file cannot be written.
    """
    with _axes(target, 1, 0.6 + 0.26 * len(bars)) as (axes,):
        for row, (_, value, low, high) in enumerate(bars):
            axes.plot([low, high], [row, row], color="C0", linewidth=1.2)
            axes.plot([value], [row], "o", color="C0", markersize=4)
        if reference is not None:
            axes.axvline(reference, color="0.6", linewidth=0.8)
        axes.set(xlabel=along, ylim=(len(bars) - 0.5, -0.5))
        axes.set_yticks(range(len(bars)), [label for label, *_ in bars])


def _curves(result: Result, target: Path) -> None:
    with _axes(target, 2, 2.6) as (left, right):
        for found in result.sets:
            _curve(left, found.name, found.pass_at)
            _curve(right, found.name, found.maj_at)
        ks = powers_of_two(max(found.samples for found in result.sets))
        for axes, name in ((left, "pass@k"), (right, "maj@k")):
            axes.set_xscale("log", base=2)
            axes.set_xticks(ks, list(map(str, ks)))
            axes.set(xlabel="k", ylabel=f"{name}, %")
        right.legend(fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _curve(axes: "Axes", label: str, by_k: Mapping[str, float]) -> None:
    shares = [100 * share for share in by_k.values()]
    axes.plot([int(k) for k in by_k], shares, ".-", label=label)


@contextmanager
def _axes(target: Path, columns: int, height: float) -> Iterator[Sequence["Axes"]]:
    """Axes side by side; what is drawn on them is written when the block is left."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(STYLE):  # Figure, not pyplot: nothing global, no window
        figure = Figure(figsize=(6.0, height), layout="constrained", dpi=150)
        FigureCanvasAgg(figure)
        yield [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
        try:
            figure.savefig(target, format="png", metadata={"Software": None})
        except OSError as error:
            raise RunError(f"picture {target}: {error.strerror}; give another path") from error


def _bar(label: str, found: Interval) -> tuple[str, float, float, float]:
    return label, 100 * found.value, 100 * found.low, 100 * found.high
