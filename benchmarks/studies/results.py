"""What is known so far: one line per run, in results/NAME.jsonl."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.studies.study import Arm, Study

LAST = 10
"""Steps that what a run was like at its end is the mean of."""

DIRECTORY = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of one run."""

    arm: str
    seed: int
    digest: str
    """Of all that the run was told."""
    ended: str
    """`finished`, `stopped` (at the limit of time, or by hand), or what the learner said."""
    steps: int
    seconds: float
    evaluations: tuple[tuple[int, float, float], ...]
    """Step, held-out accuracy at temperature 1, mean tokens of a completion."""
    accuracy: tuple[float | None, ...]
    """By step, of all completions that were scored since the step before."""
    tokens: tuple[float | None, ...]
    """Mean length of those completions."""
    truncated: tuple[float | None, ...]
    """Share of them that were cut off."""
    components: dict[str, float]
    """Mean of each reward component over the last steps."""
    staleness: float
    """Mean over steps of the mean."""
    ess: float
    """Lowest effective sample size of a step, as a share of its tokens."""
    grad_norm: float
    """Largest of a step."""
    commit: str
    date: str
    machine: str

    @property
    def last(self) -> float:
        """The newest held-out accuracy."""
        return self.evaluations[-1][1]

    @property
    def best(self) -> float:
        """The best held-out accuracy."""
        return max(accuracy for _, accuracy, _ in self.evaluations)


def kept(study: Study) -> list[Result]:
    """Every result of the study that stands in its file."""
    path = DIRECTORY / f"{study.name}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [Result(**_tuples(json.loads(line))) for line in lines]


def of_arm(study: Study, arm: Arm, results: Sequence[Result]) -> list[Result]:
    """The newest result of each seed of an arm as it is now defined, by seed."""
    found = {r.seed: r for r in results if r.digest == study.digest(arm, r.seed)}
    return [found[seed] for seed in sorted(found)]


def keep(study: Study, result: Result) -> None:
    """Add a result."""
    DIRECTORY.mkdir(exist_ok=True)
    with (DIRECTORY / f"{study.name}.jsonl").open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def _tuples(line: dict[str, object]) -> dict[str, object]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in line.items()}
