"""A data set on disk: the problems twice, as JSON lines and as Parquet, its card and pictures.

What was left out stands beside it, in the curation's directory:

    dataset/         README.md, problems.jsonl, problems.parquet, funnel.png, difficulty.png
    hits.jsonl       problems that are a benchmark's: which, how, and how much of it
    left_out.jsonl   every problem that is not in the data set: after which stage, and why

The data set's directory is there whole or not at all.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openrs_core.record.directory import write_whole
from services.curator.card import card
from services.curator.curation import Curation
from services.curator.funnel import Gone
from services.curator.mixture import Chosen, Mixture
from services.curator.pictures import draw_difficulty, draw_funnel
from services.curator.text_stages import Found

DATASET, HITS, LEFT_OUT = "dataset", "hits.jsonl", "left_out.jsonl"


def write_dataset(directory: Path, curation: Curation, mixture: Mixture) -> None:
    """Write all of it; the same bytes from the same problems. What is there already stays."""
    if (directory / DATASET).exists():  # an earlier life was killed before it could say so
        return
    _write_lines(directory / HITS, map(_hit, curation.hits))
    _write_lines(directory / LEFT_OUT, map(_gone, curation.funnel.gone))
    partial = directory / f"{DATASET}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a life that was killed
    partial.mkdir()
    rows = [_row(each) for each in mixture.chosen]
    _write_lines(partial / "problems.jsonl", rows)
    _write_parquet(partial / "problems.parquet", rows)
    draw_funnel(curation.funnel.stages, partial / "funnel.png")
    if curation.rates:
        rates = list(curation.rates.values())
        draw_difficulty(rates, mixture.chosen, partial / "difficulty.png")
    (partial / "README.md").write_text(card(curation, mixture), encoding="utf-8")
    partial.rename(directory / DATASET)


def _row(chosen: Chosen) -> dict[str, Any]:
    rate = chosen.rate
    return {
        "id": chosen.candidate.id,
        "problem": chosen.candidate.problem,
        "answer": chosen.candidate.answer,
        "part": chosen.part,
        "source": chosen.candidate.source,
        "pass_rate": round(rate.value, 6) if rate else None,
        "correct": rate.correct if rate else None,
        "samples": rate.samples if rate else None,
    }


def _hit(found: Found) -> dict[str, Any]:
    return {
        "id": found.candidate.id,
        "benchmark": found.hit.benchmark,
        "how": found.hit.how,
        "overlap": found.hit.overlap,
        "problem": found.candidate.problem,
    }


def _gone(gone: Gone) -> dict[str, Any]:
    return {
        "id": gone.id,
        "stage": gone.stage,
        "reason": gone.why.reason,
        "detail": gone.why.detail,
    }


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    text, count = pyarrow.string(), pyarrow.int32()
    schema = pyarrow.schema(
        [
            ("id", text), ("problem", text), ("answer", text), ("part", text), ("source", text),
            ("pass_rate", pyarrow.float64()), ("correct", count), ("samples", count),
        ]
    )  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path, compression="zstd")
