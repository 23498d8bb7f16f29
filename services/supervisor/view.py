"""What a person sees while a run goes on: a live table on a terminal, a line a step elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from openrs_core.recipe.evaluation import HELD_OUT
from openrs_core.record.lines import (
    EvaluationLine,
    Line,
    StepLine,
    UnevaluatedLine,
    WeightsLine,
)
from services.supervisor.live import LiveView, queues

BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 40


class View(LiveView):
    """Shows the progress of a training."""

    def __init__(self, run: str, steps: int, bound: int, directory: Path, begun: float) -> None:
        """`bound`: the most staleness there may be."""
        super().__init__(run, directory, begun)
        self._steps, self._bound = steps, bound

    def _state(self) -> str:
        if not self.record.evaluations and not self.record.steps:
            return "starting: vLLM, DeepSpeed and the model are being loaded"
        return "last evaluation" if len(self.record.steps) >= self._steps else "training"

    def _lines(self, new: Sequence[Line]) -> Iterable[str]:
        for line in new:
            if isinstance(line, StepLine | EvaluationLine | UnevaluatedLine):
                yield plain(line, self._steps)

    def _picture(self, state: str, depths: Mapping[str, int]) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ignore")
        for name, value in self._rows(depths):
            table.add_row(Text(name, style="dim"), value)
        done = len(self.record.steps)
        return Group(
            self._head(state), ProgressBar(total=self._steps, completed=done, width=60), table
        )

    def _rows(self, depths: Mapping[str, int]) -> list[tuple[str, str]]:
        record = self.record
        rows = [("queues", queues(depths)), *accuracies(record.evaluations)]
        if record.unevaluated:
            rows.append(("not evaluated", f"version {record.unevaluated[-1].version}"))
        if not record.steps:
            return rows
        last = record.steps[-1]
        return [
            ("step", f"{last.version} of {self._steps}"),
            ("reward", f"{last.reward:.3f}  {curve([step.reward for step in record.steps])}"),
            ("answer length", _length(record.steps)),
            (
                "staleness",
                f"at most {last.staleness_max} (bound {self._bound}) in the last step",
            ),
            ("tokens/s", _rate(record.steps)),
            ("weights", _weights(record.weights)),
            *rows,
        ]


def _rate(steps: list[StepLine]) -> str:
    """Completion tokens trained per second over the last steps."""
    recent = steps[-10:]
    seconds = recent[-1].time - recent[0].time
    if not seconds:
        return "after the second step"
    tokens = sum(step.tokens for step in recent[1:])
    return f"{tokens / seconds:,.0f} trained, over the last steps"


def _weights(published: list[WeightsLine]) -> str:
    """The last version that was sent, and what it weighed."""
    if not published or published[-1].form == "named":
        return "the base model; the first version is on its way"
    last = published[-1]
    share = last.size / last.whole_size
    return (
        f"version {last.version}: a {last.form} of {last.size / 1e6:,.1f} MB, "
        f"{share:.2%} of the model, in {last.seconds:.2f} s"
    )


def _length(steps: list[StepLine]) -> str:
    lengths = [step.completion_tokens for step in steps]
    return f"{lengths[-1]:.1f} tokens  {curve(lengths)}"


def curve(values: list[float]) -> str:
    """The values as a row of bars, thinned to fit.

    Example:
        curve([0.0, 0.5, 1.0])  # "▁▄█"
    """
    stride = -(-len(values) // CURVE_WIDTH)
    values = values[:: stride or 1]
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[int((value - low) * scale)] for value in values)


def accuracies(lines: list[EvaluationLine]) -> list[tuple[str, str]]:
    """The last accuracies of each set and mode, and the standard error of the newest."""
    if not lines:
        return [("held-out accuracy", "waiting for the first evaluation")]
    rows = []
    for name, mode in dict.fromkeys((line.set, line.mode) for line in lines):
        found = [line for line in lines if (line.set, line.mode) == (name, mode)]
        shown = " → ".join(f"{line.accuracy:.3f}" for line in found[-6:])
        rows.append((f"{_said(name)}, {mode}", f"{shown}{_error(found[-1])}"))
    return rows


def _said(name: str) -> str:
    """A set's name, as a person reads it."""
    return "held-out accuracy" if name == HELD_OUT else f"accuracy on {name}"


def _error(line: EvaluationLine) -> str:
    return "" if line.standard_error is None else f" ± {line.standard_error:.3f}"


def plain(line: StepLine | EvaluationLine | UnevaluatedLine, steps: int) -> str:
    """One recorded line, for a log."""
    if isinstance(line, UnevaluatedLine):
        return f"version {line.version} is not evaluated: {line.reason}"
    if isinstance(line, EvaluationLine):
        return (
            f"{_said(line.set)} {line.accuracy:.3f}{_error(line)} ({line.mode}, policy "
            f"{line.version}, {line.problems} problems, {line.tokens:.1f} tokens, "
            f"{line.truncated:.1%} cut off)"
        )
    spent = line.seconds
    return (
        f"step {line.version}/{steps}  reward {line.reward:.3f}  "
        f"accuracy {line.accuracy:.3f}  length {line.completion_tokens:.1f}  "
        f"staleness {line.staleness_max}  {spent.collect + spent.train + spent.publish:.2f} s"
    )
