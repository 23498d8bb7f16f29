"""The benchmarks that are known by name, and where their problems are.

Places on the hub are those of the Open-RS evaluation (arXiv 2503.16219, its lighteval tasks); the
paper does not have aime25. They are read as any other data set; none of them was to be had where
this was written, so a change of their columns is found when they are first loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe.eval import EvalSet

FILE = "{name}.jsonl"
"""What a benchmark is called in a directory of them; columns `id`, `problem` and `answer`."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A data set of the hub."""

    source: str
    problem_field: str = "problem"
    answer_field: str = "answer"


BENCHMARKS: Mapping[str, Benchmark] = {
    "aime24": Benchmark("HuggingFaceH4/aime_2024:train"),
    "aime25": Benchmark("math-ai/aime25:test"),
    "amc23": Benchmark("knoveleng/AMC-23:train"),
    "math500": Benchmark("HuggingFaceH4/MATH-500:test"),
    "minerva": Benchmark("knoveleng/Minerva-Math:train", answer_field="solution"),
    "olympiadbench": Benchmark("knoveleng/OlympiadBench:train", problem_field="question"),
}


TOY = "toy"
"""The held-out problems of the embedded task."""


def sets(names: Sequence[str], directory: Path | None = None) -> list[EvalSet]:
    """The sets of these names: files of a directory, else data sets of the hub, or the toy's.

    Raises:
        RunError: one is not known, or not in the directory.
    """
    return [_from_directory(name, directory) if directory else _from_hub(name) for name in names]


def _from_hub(name: str) -> EvalSet:
    if name == TOY:
        return EvalSet(name=name, source=TOY)
    if (found := BENCHMARKS.get(name)) is None:
        raise RunError(
            f"--benchmarks {name}: no such benchmark; there are {', '.join(BENCHMARKS)}, and with "
            "--data-dir the files of a directory"
        )
    return EvalSet(
        name=name,
        source=found.source,
        problem_field=found.problem_field,
        answer_field=found.answer_field,
    )


def _from_directory(name: str, directory: Path) -> EvalSet:
    path = directory.expanduser() / FILE.format(name=name)
    if not path.is_file():
        there = sorted(each.stem for each in path.parent.glob(FILE.format(name="*")))
        raise RunError(
            f"--benchmarks {name}: there is no {path}; in {directory} there "
            + (f"are {', '.join(there)}" if there else "is no .jsonl file")
        )
    return EvalSet(name=name, source=str(path.resolve()))
