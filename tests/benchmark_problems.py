"""Problems of public benchmarks, if they are here: AIME, AMC, MATH-500, Minerva, OlympiadBench.

Their licences are mixed, so they are no part of the repository: OPENRS_BENCHMARKS names a directory
of JSON lines with `id`, `problem` and `answer`; without, it is `../shared/data/benchmarks`.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DIRECTORY = Path(os.environ.get("OPENRS_BENCHMARKS", ROOT.parent / "shared/data/benchmarks"))

_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BenchmarkProblem:
    """One of them."""

    name: str
    problem: str
    answer: str
    solution: str = ""
    """Empty where the file has none."""

    @property
    def formulas(self) -> list[str]:
        """Every formula of the problem, and each side of its equations, as it stands there."""
        found = ["".join(filter(None, each)) for each in _FORMULA.findall(self.problem)]
        sides = [side for formula in found for side in formula.split("=")]
        return [each for each in dict.fromkeys(map(_trimmed, found + sides)) if each]


def benchmark_problems() -> list[BenchmarkProblem]:
    """All of them; the test is skipped where they are not."""
    files = sorted(DIRECTORY.glob("*.jsonl"))
    if not files:
        pytest.skip(f"no benchmarks in {DIRECTORY}: name a directory in OPENRS_BENCHMARKS")
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [
        BenchmarkProblem(
            row["id"], row["problem"], str(row["answer"]), str(row.get("solution", ""))
        )
        for row in rows
    ]


def _trimmed(formula: str) -> str:
    return formula.strip().rstrip(".,;")
