"""A row per sample, and `samples.parquet`, the file of them.

with SamplesWriter(path) as table:
    table.add(sample)
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from openrs_core.errors import RunError
from openrs_core.wire.messages import Verdict

ROWS = 1000
"""Rows that are written, and read, at a time: some tens of MB of long answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One completion of an evaluation, as it was scored; its fields are the file's columns.

    Example:
        Sample(set="aime24", problem_id="aime24/60", problem="Every morning ...",
               reference="204", sample=3, seed=3, correct=False,
               harness_correct=True, verdict="incorrect", answer="204.0", tokens=8120,
               truncated=False, text="Let x be ...")
        # the two scorings differ
    """

    set: str
    problem_id: str
    problem: str
    reference: str
    """The right answer, as the set has it."""
    sample: int
    """Counted from 0 within the problem."""
    seed: int | None
    """It was drawn with; None: with none."""
    correct: bool
    """By the scorer of openrs."""
    harness_correct: bool | None
    """By the rules of the paper's harness; None: not asked."""
    verdict: Verdict
    answer: str | None
    """Text of the last box; None: there is none."""
    tokens: int
    """Of the completion, with the one that ends it."""
    truncated: bool
    """It reached `max_tokens`."""
    text: str


class SamplesWriter:
    """Writes rows as they come; the file is whole once it is left without an error."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self._writer = parquet.ParquetWriter(path, _schema(), compression="zstd")
        self._rows: list[Sample] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, row: Sample) -> None:
        """One more row."""
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self._flush()

    def _flush(self) -> None:
        from pyarrow import Table

        if self._rows:
            rows = [asdict(row) for row in self._rows]
            self._writer.write_table(Table.from_pylist(rows, schema=_schema()))
            self._rows.clear()


def read_samples(path: Path) -> Iterator[Sample]:
    """The rows of a file, in its order.

    Raises:
        RunError: no such file, one cut short, or other columns.
    """
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
        expected = [field.name for field in fields(Sample)]
        if file.schema_arrow.names != expected:
            raise RunError(f"samples {path}: columns {file.schema_arrow.names}, not {expected}")
        for batch in file.iter_batches(ROWS):
            yield from (Sample(**row) for row in batch.to_pylist())
    except (OSError, ArrowException) as error:
        raise RunError(f"samples {path} cannot be read ({error}); evaluate again") from error


def _schema() -> Any:
    import pyarrow as pa

    text, count, flag = pa.string(), pa.int64(), pa.bool_()
    kinds = {
        "set": text, "problem_id": text, "problem": text, "reference": text,
        "sample": count, "seed": count, "correct": flag,
        "harness_correct": flag, "verdict": text, "answer": text, "tokens": count,
        "truncated": flag, "text": text,
    }  # fmt: skip
    may_lack = {"seed", "harness_correct", "answer"}
    return pa.schema([pa.field(n, kind, nullable=n in may_lack) for n, kind in kinds.items()])
