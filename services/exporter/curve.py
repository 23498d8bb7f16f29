"""Held-out accuracy over the steps of a training, as a picture."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from openrs_core.recipe.evaluation import HELD_OUT
from openrs_core.record.lines import EvaluationLine
from services.evaluator.pictures import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


def draw(evaluations: Sequence[EvaluationLine], version: int | None, target: Path) -> bool:
    """Write the curves as a PNG, with a line at the exported version.

    False where there are none, or nothing to draw them with.
    """
    curves: dict[str, list[EvaluationLine]] = defaultdict(list)
    for line in evaluations:
        curves[line.mode if line.set == HELD_OUT else f"{line.set}, {line.mode}"].append(line)
    if not any(len(curve) > 1 for curve in curves.values()):
        return False
    try:
        from matplotlib import style
    except ImportError:
        logger.warning("no picture of the accuracy: matplotlib is missing; pip install matplotlib")
        return False
    with style.context(STYLE):
        _figure(curves, version).savefig(target, format="png", metadata={"Software": None})
    return True


def _figure(curves: Mapping[str, Sequence[EvaluationLine]], version: int | None) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.0, 2.6), layout="constrained", dpi=150)  # no pyplot: nothing global
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for label, curve in curves.items():
        axes.plot([e.version for e in curve], [100 * e.accuracy for e in curve], ".-", label=label)
    if version is not None:
        axes.axvline(version, color="0.6", linewidth=0.8, linestyle="--")
    axes.set(xlabel="optimizer step", ylabel="held-out accuracy, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure
