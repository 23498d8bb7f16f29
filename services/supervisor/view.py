"""What a person sees while a run goes on: a live table on a terminal, a line a step elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from openrs_core.record.lines import EvaluationLine, Line, StepLine, WeightsLine
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
            if isinstance(line, StepLine | EvaluationLine):
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
        rows = [("queues", queues(depths))]
        for mode in ("sampled", "greedy"):
            found = [e.accuracy for e in record.evaluations if e.mode == mode]
            shown = " → ".join(f"{value:.3f}" for value in found[-6:])
            rows.append((f"held-out accuracy, {mode}", shown or "waiting for the first evaluation"))
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


def plain(line: StepLine | EvaluationLine, steps: int) -> str:
    """One recorded line, for a log."""
    if isinstance(line, EvaluationLine):
        return (
            f"held-out accuracy {line.accuracy:.3f} ({line.mode}, policy {line.version}, "
            f"{line.problems} problems, {line.tokens:.1f} tokens)"
        )
    spent = line.seconds
    return (
        f"step {line.version}/{steps}  reward {line.reward:.3f}  "
        f"accuracy {line.accuracy:.3f}  length {line.completion_tokens:.1f}  "
        f"staleness {line.staleness_max}  {spent.collect + spent.train + spent.publish:.2f} s"
    )
