"""What every live view has: a picture on a terminal that is brought up to date, lines elsewhere."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from openrs_core.record.lines import Line
from openrs_core.record.reader import RecordReader


class LiveView(ABC):
    """Follows a run's record; use as a context."""

    def __init__(self, run: str, directory: Path, begun: float) -> None:
        """`begun`: when, by `time.monotonic()`."""
        self._run, self._begun = run, begun
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=False)
        self.record = RecordReader(directory)
        self.record.follow()  # what an earlier life recorded is not news

    def __enter__(self) -> Self:
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

    def show(self, depths: Mapping[str, int], state: str = "") -> None:
        """Bring what is shown up to date; the state, unless the record tells it."""
        new = self.record.follow()
        if self._console.is_terminal:
            self._live.update(self._picture(state or self._state(), depths))
        else:
            for text in self._lines(new):
                sys.stderr.write(text + "\n")

    def _head(self, state: str) -> Text:
        seconds = int(time.monotonic() - self._begun)
        return Text(f"openrs {self._run}  {seconds // 60}:{seconds % 60:02d}  {state}", "bold")

    @abstractmethod
    def _state(self) -> str:
        """What is being done, as the record tells it."""

    @abstractmethod
    def _picture(self, state: str, depths: Mapping[str, int]) -> RenderableType:
        """All there is to see."""

    @abstractmethod
    def _lines(self, new: Sequence[Line]) -> Iterable[str]:
        """What a log says of the lines that are new."""


def queues(depths: Mapping[str, int]) -> str:
    """How many messages are in each stage."""
    return "  ".join(f"{stage} {depth}" for stage, depth in depths.items())
