"""Does `openrs compare` find a difference where there is none? One model, many seeds.

`make bench-seeds`: one evaluation of the toy with many samples is cut into evaluations of a few
samples each, every one with seeds of its own; they are compared in pairs.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from services.evaluator import finish
from services.evaluator.comparison import compared
from services.evaluator.result import Result, read_result
from services.evaluator.samples import Sample, read_samples
from services.evaluator.summary import SetRows

ROOT = Path(__file__).parents[1]


def evaluate(evals: Path, samples: int, problems: int) -> Path:
    """A real evaluation of the toy; its directory."""
    asked = ["eval", "toy", "--benchmarks", "toy", "--recipe", str(ROOT / "recipes" / "toy.toml")]
    asked += ["--samples", str(samples), "--problems", str(problems)]
    asked += ["--evals", str(evals), "--run", "whole"]
    subprocess.run([sys.executable, "-m", "services.cli", *asked], check=True, cwd=ROOT)
    return evals / "whole"


def piece(whole: Path, number: int, samples: int, directory: Path) -> Result:
    """The evaluation that has samples `number * samples` and so on of each problem."""
    result = read_result(whole)
    protocol = result.protocol.model_copy(
        update={"samples": samples, "seed": result.protocol.seed + number}
    )
    directory.mkdir()
    [found] = result.sets
    sets = SetRows(
        name=found.name, digest=found.digest, problems=[each.id for each in found.by_problem],
        samples=samples, rows=_rows(whole, number, samples),
    )  # fmt: skip
    return finish.write(directory, result.model, protocol, [sets], result.versions)


def _rows(whole: Path, number: int, samples: int) -> Iterator[Sample]:
    rows = read_samples(whole / finish.SAMPLES)
    for _, drawn in groupby(rows, lambda row: row.problem_id):
        mine = list(drawn)[number * samples : (number + 1) * samples]
        yield from (replace(row, sample=place) for place, row in enumerate(mine))


def main() -> None:
    """Print each pair's verdict, and how many say that there is no difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=8, help="of each problem")
    parser.add_argument("--problems", type=int, default=128)
    parser.add_argument("--evals", type=Path, help="keep the evaluation here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        evals = asked.evals or Path(scratch) / "evals"
        whole = evaluate(evals, 2 * asked.pairs * asked.samples, asked.problems)
        none = 0
        for pair in range(asked.pairs):
            one, other = (
                piece(whole, 2 * pair + side, asked.samples, Path(scratch) / f"{pair}.{side}")
                for side in (0, 1)
            )
            found = compared(one, [other])[0][0]
            none += found.verdict == "no difference"
            print(
                f"pair {pair}: {100 * found.reference:.1f} % and {100 * found.accuracy:.1f} %, "
                f"p {found.p:.2f}: {found.verdict}"
            )
    print(f"no difference in {none} of {asked.pairs} pairs")


if __name__ == "__main__":
    main()
