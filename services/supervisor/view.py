"""What a person sees while a run goes on: a live table on a terminal, a line a step elsewhere."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 40

Line = dict[str, Any]


class Progress:
    """What the run has recorded so far, read as it grows."""

    def __init__(self, directory: Path) -> None:
        self._path, self._read = directory / "metrics.jsonl", 0
        self.steps: list[Line] = []
        self.evaluations: list[Line] = []
        self.published: list[Line] = []

    def update(self) -> list[Line]:
        """The lines that are new."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")
        self._read += len(whole[0]) + len(whole[1])
        lines = [json.loads(line) for line in whole[0].splitlines()]
        for line in lines:
            self._take(line)
        return lines

    def _take(self, line: Line) -> None:
        if line["kind"] == "life":  # the steps after its checkpoint are made anew
            self.steps = [step for step in self.steps if step["version"] <= line["version"]]
        elif line["kind"] in self._kinds:
            line.pop("groups", None)  # a long run has many, and nobody looks at them here
            self._kinds[line["kind"]].append(line)

    @property
    def _kinds(self) -> dict[str, list[Line]]:
        return {
            "step": self.steps, "evaluation": self.evaluations, "weights": self.published,
        }  # fmt: skip

    @property
    def tokens_per_second(self) -> float:
        """Completion tokens trained per second over the last steps."""
        recent = self.steps[-10:]
        seconds = recent[-1]["time"] - recent[0]["time"] if len(recent) > 1 else 0.0
        return sum(line["tokens"] for line in recent[1:]) / seconds if seconds else 0.0


class View:
    """Shows the progress; use as a context."""

    def __init__(self, run: str, steps: int, bound: int, directory: Path, begun: float) -> None:
        self._run, self._steps, self._bound = run, steps, bound
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=False)
        self.progress, self._begun = Progress(directory), begun
        self.progress.update()  # what an earlier life recorded is not news

    def __enter__(self) -> "View":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays; nothing for an empty one."""
        if text:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, state: str, depths: Mapping[str, int]) -> None:
        """Bring what is shown up to date."""
        new = self.progress.update()
        if self._console.is_terminal:
            self._live.update(self._table(state, depths))
        else:
            for line in (line for line in new if line["kind"] in ("step", "evaluation")):
                sys.stderr.write(plain(line, self._steps) + "\n")

    def _table(self, state: str, depths: Mapping[str, int]) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ignore")
        for name, value in self._rows(depths):
            table.add_row(Text(name, style="dim"), value)
        seconds = int(time.monotonic() - self._begun)
        head = Text(
            f"openrs {self._run}  {seconds // 60}:{seconds % 60:02d}  {state}", style="bold"
        )
        done = len(self.progress.steps)
        return Group(head, ProgressBar(total=self._steps, completed=done, width=60), table)

    def _rows(self, depths: Mapping[str, int]) -> list[tuple[str, str]]:
        progress = self.progress
        rows = [("queues", "  ".join(f"{stage} {depth}" for stage, depth in depths.items()))]
        for mode in ("sampled", "greedy"):
            found = [e["accuracy"] for e in progress.evaluations if e["mode"] == mode]
            shown = " → ".join(f"{value:.3f}" for value in found[-6:])
            rows.append((f"held-out accuracy, {mode}", shown or "waiting for the first evaluation"))
        if not progress.steps:
            return rows
        last = progress.steps[-1]
        return [
            ("step", f"{last['version']} of {self._steps}"),
            ("reward", f"{last['reward']:.3f}  {curve([s['reward'] for s in progress.steps])}"),
            ("answer length", _length(progress.steps)),
            (
                "staleness",
                f"at most {last['staleness_max']} (bound {self._bound}) in the last step",
            ),
            ("tokens/s", _rate(progress.tokens_per_second)),
            ("weights", _weights(progress.published)),
            *rows,
        ]


def _rate(tokens_per_second: float) -> str:
    if not tokens_per_second:
        return "after the second step"
    return f"{tokens_per_second:,.0f} trained, over the last steps"


def _weights(published: list[Line]) -> str:
    """The last version that was sent, and what it weighed."""
    if not published or published[-1]["form"] == "named":
        return "the base model; the first version is on its way"
    last = published[-1]
    share = last["size"] / last["whole_size"]
    return (
        f"version {last['version']}: a {last['form']} of {last['size'] / 1e6:,.1f} MB, "
        f"{share:.2%} of the model, in {last['seconds']:.2f} s"
    )


def _length(steps: list[Line]) -> str:
    lengths = [line["completion_tokens"] for line in steps]
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


def plain(line: Line, steps: int) -> str:
    """One recorded line, for a log."""
    if line["kind"] == "evaluation":
        return (
            f"held-out accuracy {line['accuracy']:.3f} ({line['mode']}, policy {line['version']}, "
            f"{line['problems']} problems, {line['tokens']:.1f} tokens)"
        )
    return (
        f"step {line['version']}/{steps}  reward {line['reward']:.3f}  "
        f"accuracy {line['accuracy']:.3f}  length {line['completion_tokens']:.1f}  "
        f"staleness {line['staleness_max']}  {sum(line['seconds'].values()):.2f} s"
    )
