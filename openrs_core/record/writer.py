"""The one writer of a run's record: the learner appends lines, whole ones only."""

import os
from pathlib import Path

from openrs_core.record.directory import METRICS, SAMPLES
from openrs_core.record.lines import Line, SampleLine, written


class RecordWriter:
    """Appends to the record in a run's directory."""

    def __init__(self, directory: Path) -> None:
        """Lines that an earlier life did not finish are removed; the next would be joined to them.

        Raises:
            OSError: the record cannot be written.
        """
        self._metrics, self._samples = directory / METRICS, directory / SAMPLES
        for path in (self._metrics, self._samples):
            _cut_torn_line(path)

    def add(self, line: Line) -> None:
        """Append to `metrics.jsonl`."""
        _append(self._metrics, written(line))

    def sample(self, line: SampleLine) -> None:
        """Append to `samples.jsonl`."""
        _append(self._samples, written(line))


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        error.filename = error.filename or str(path)  # a failed write does not say of what
        raise


def _cut_torn_line(path: Path) -> None:
    if not path.exists() or (there := path.read_bytes()).endswith(b"\n") or not there:
        return
    os.truncate(path, there.rfind(b"\n") + 1)
