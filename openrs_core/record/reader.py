"""The one reader of a run's record: it follows the lines as they are written.

A last line that is not whole yet is left for the next look. Steps that a later life of the learner
made void, because it began again below them, are dropped, and so are evaluations of what they made.
"""

from pathlib import Path

from openrs_core.errors import RecordError, RunError
from openrs_core.record.directory import METRICS
from openrs_core.record.lines import (
    EvaluationLine,
    LifeLine,
    Line,
    ProgressLine,
    SkippedLine,
    StepLine,
    UnevaluatedLine,
    WeightsLine,
    read,
)


class RecordReader:
    """What a run has recorded so far; `follow` brings it up to date."""

    def __init__(self, directory: Path) -> None:
        """Nothing is read yet; the directory need not exist."""
        self._path, self._offset, self._number = directory / METRICS, 0, 0
        self.lives: list[LifeLine] = []
        self.steps: list[StepLine] = []
        """Those that made the present weights."""
        self.skipped: list[SkippedLine] = []
        self.evaluations: list[EvaluationLine] = []
        """Of policies that are not void."""
        self.unevaluated: list[UnevaluatedLine] = []
        """And what of them was never evaluated, though it was its turn."""
        self.weights: list[WeightsLine] = []
        self.progress: ProgressLine | None = None
        """The last of them."""

    @property
    def last_incarnation(self) -> int:
        """Of the latest life that began here; 0 before the first."""
        return max((life.incarnation for life in self.lives), default=0)

    def follow(self) -> list[Line]:
        """Take up the lines that are new, and return them.

        Raises:
            RunError: a whole line is no line of a record: somebody has altered it.
        """
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")
        self._offset += len(whole[0]) + len(whole[1])
        found = [self._read(text) for text in whole[0].splitlines()]
        for line in found:
            self._take(line)
        return found

    def _read(self, text: bytes) -> Line:
        self._number += 1
        try:
            return read(text)
        except RecordError as error:
            raise RunError(
                f"record {self._path} line {self._number} cannot be read ({error}); it was altered "
                "or is of another openrs: put it right or remove it"
            ) from error

    def _take(self, line: Line) -> None:
        match line:
            case LifeLine():
                self.lives.append(line)
                self.steps = [step for step in self.steps if step.version <= line.version]
                self.evaluations = [e for e in self.evaluations if e.version <= line.version]
                self.unevaluated = [u for u in self.unevaluated if u.version <= line.version]
            case StepLine():
                self.steps.append(line)
            case SkippedLine():
                self.skipped.append(line)
            case EvaluationLine():
                self.evaluations.append(line)
            case UnevaluatedLine():
                self.unevaluated.append(line)
            case ProgressLine():
                self.progress = line
            case WeightsLine():
                self.weights.append(line)


def read_record(directory: Path) -> RecordReader:
    """All that the run in a directory has recorded up to now."""
    reader = RecordReader(directory)
    reader.follow()
    return reader
