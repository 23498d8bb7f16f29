"""What a person sees while an evaluation or a curation goes on: how far it is, how fast."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from openrs_core.record.lines import Line, ProgressLine
from services.supervisor.live import LiveView, queues

LINE_SECONDS = 15.0
"""Between two lines of a log about the same stage."""


class ProgressView(LiveView):
    """Shows the progress of a client that learns nothing."""

    def __init__(self, run: str, directory: Path, begun: float) -> None:
        super().__init__(run, directory, begun)
        self.record.progress = None  # of an earlier life
        self._first: ProgressLine | None = None
        self._said: ProgressLine | None = None

    def _state(self) -> str:
        if progress := self.record.progress:
            return progress.stage
        return "starting: vLLM and the model are being loaded"

    def _picture(self, state: str, depths: Mapping[str, int]) -> RenderableType:
        shown: list[RenderableType] = [self._head(state)]
        if progress := self.record.progress:
            shown.append(ProgressBar(total=progress.total, completed=progress.done, width=60))
            shown.append(Text(self._plain(progress)))
        return Group(*shown, Text(f"queues  {queues(depths)}", "dim"))

    def _lines(self, new: Sequence[Line]) -> Iterable[str]:
        for line in new:
            if isinstance(line, ProgressLine) and self._is_news(line):
                self._said = line
                yield self._plain(line)

    def _is_news(self, line: ProgressLine) -> bool:
        if self._said is None or line.stage != self._said.stage or line.done == line.total:
            return True
        return line.time - self._said.time >= LINE_SECONDS

    def _plain(self, line: ProgressLine) -> str:
        if self._first is None or self._first.stage != line.stage:
            self._first = line
        return f"{line.stage}: {line.done:,} of {line.total:,}{pace(self._first, line)}"


def pace(first: ProgressLine, last: ProgressLine) -> str:
    """How fast it went between two lines, and how long the rest takes at that speed."""
    seconds, done = last.time - first.time, last.done - first.done
    if seconds <= 0 or not done:
        return ""
    left = time.gmtime((last.total - last.done) * seconds / done)
    speed = f"  {(last.tokens - first.tokens) / seconds:,.0f} tokens/s" if last.tokens else ""
    return f"{speed}  {(left.tm_yday - 1) * 24 + left.tm_hour}:{time.strftime('%M:%S', left)} left"
