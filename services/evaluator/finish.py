"""What an evaluation leaves when it is finished, written from its samples.

finish.write(directory, model, protocol, sets, versions)
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from services.evaluator.pictures import draw
from services.evaluator.report import report
from services.evaluator.result import RESULT, Interval, Model, Protocol, Result, SetResult
from services.evaluator.samples import SamplesWriter
from services.evaluator.statistics import Estimate, average
from services.evaluator.summary import SetRows, Summary

SAMPLES, REPORT = "samples.parquet", "result.md"


def write(
    directory: Path,
    model: Model,
    protocol: Protocol,
    sets: Iterable[SetRows],
    versions: Mapping[str, str],
    *,
    allow_failed: bool = False,
) -> Result:
    """Write samples.parquet, result.md, the PNGs and, last, result.json.

    The same samples give the same bytes, whenever and wherever it is called. An evaluation that has
    no result.json is not finished; a file that was half written is replaced by the next call.

    Args:
        directory: must exist.
        model: whose samples they are.
        protocol: how they were drawn and judged.
        sets: in the order in which they are to be shown.
        versions: of the packages that had a part in it, by name.
        allow_failed: leave problems out that could not be sampled, and count them.

    Raises:
        RunError: samples are missing, or problems failed and that is not allowed.
    """
    with SamplesWriter(_new(directory / SAMPLES)) as table:
        found = [_summed(asked, protocol, table, allow_failed) for asked in sets]
    os.replace(_new(directory / SAMPLES), directory / SAMPLES)
    result = Result(
        model=model,
        protocol=protocol,
        sets=found,
        average=Interval.of(average([_estimate(part.accuracy) for part in found])),
        versions=dict(versions),
    )
    (directory / REPORT).write_text(report(result), encoding="utf-8")
    draw(result, directory)
    _new(directory / RESULT).write_text(result.text(), encoding="utf-8")
    os.replace(_new(directory / RESULT), directory / RESULT)
    return result


def _summed(
    asked: SetRows, protocol: Protocol, table: SamplesWriter, allow_failed: bool
) -> SetResult:
    summary = Summary(asked, protocol, allow_failed=allow_failed)
    for row in asked.rows:
        summary.add(row)
        table.add(row)
    return summary.result()


def _estimate(found: Interval) -> Estimate:
    return Estimate(found.value, found.standard_error, found.low, found.high)


def _new(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
