"""`result.json`: what an evaluation found, in one shape, to be read by people and by `compare`.

Nothing in it depends on the machine's speed or on the time: the same samples give the same bytes.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openrs_core.errors import RunError
from services.evaluator.statistics import Estimate

FORMAT: Literal[1] = 1
RESULT = "result.json"
DIGITS = 6
"""Decimal places of what is computed."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Model(_Part):
    """Whose samples they are."""

    name: str
    digest: str
    """blake3 of the weights."""
    dtype: str


class Example(_Part):
    """A problem and its answer, shown before the one that is asked."""

    problem: str
    answer: str


class Protocol(_Part):
    """How samples were drawn and judged; results under different ones cannot be compared."""

    preset: str
    """The name under which these values are known: `ours`, `paper`; empty: none."""
    samples: Annotated[int, Field(ge=1)]
    temperature: float
    top_p: float
    max_tokens: int
    seed: int | None
    """Sample i of a problem is drawn with seed + i."""
    system_prompt: str
    user_prompt: str
    examples: list[Example]
    max_prompt_tokens: int
    scoring: Literal["openrs", "harness"]
    """Which of a sample's two scorings counts."""


class Interval(_Part):
    """A mean over problems with its 95 % interval (`statistics.Estimate`)."""

    value: float
    standard_error: float | None
    low: float
    high: float

    @classmethod
    def of(cls, found: Estimate) -> Self:
        """The same, rounded."""
        error = found.standard_error
        return cls(
            value=rounded(found.value),
            standard_error=None if error is None else rounded(error),
            low=rounded(found.low),
            high=rounded(found.high),
        )


class ProblemResult(_Part):
    """What one problem's samples came to."""

    id: str
    correct: Count
    samples: Annotated[int, Field(ge=1)]
    tokens: float
    """Mean of its samples."""
    truncated: Count

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if max(self.correct, self.truncated) > self.samples:
            raise ValueError(
                f"{self.id}: more correct or truncated than its {self.samples} samples"
            )
        return self


class SetResult(_Part):
    """What one set of problems came to."""

    name: str
    digest: str
    """blake3 of its problems and answers."""
    problems: Annotated[int, Field(ge=1)]
    samples: Annotated[int, Field(ge=1)]
    """Of each problem."""
    accuracy: Interval
    pass_at: dict[str, Share]
    maj_at: dict[str, Share]
    truncated: Share
    """Of the samples."""
    unverified: Share
    """Of the samples: nobody knows whether they are right, so they count as not correct."""
    failed: Count
    """Problems that could not be sampled, and are left out."""
    tokens: float
    """Mean of all samples."""
    disagreements: Count
    """Samples on which the two scorings differ."""
    by_problem: list[ProblemResult]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self.by_problem) != self.problems:
            raise ValueError(f"{self.name}: {len(self.by_problem)} of {self.problems} problems")
        if len({problem.id for problem in self.by_problem}) < self.problems:
            raise ValueError(f"{self.name}: a problem stands there twice")
        for problem in self.by_problem:
            if problem.samples != self.samples:
                raise ValueError(f"{problem.id}: {problem.samples} of {self.samples} samples")
        share = sum(p.correct for p in self.by_problem) / (self.problems * self.samples)
        if abs(share - self.accuracy.value) > 10**-DIGITS:
            raise ValueError(
                f"{self.name}: accuracy {self.accuracy.value}, its problems say {share}"
            )
        return self

    def means(self) -> dict[str, float]:
        """Problem id -> share of its samples that are correct."""
        return {problem.id: problem.correct / problem.samples for problem in self.by_problem}


class Result(_Part):
    """A whole evaluation."""

    format: Literal[1] = FORMAT
    model: Model
    protocol: Protocol
    sets: Annotated[list[SetResult], Field(min_length=1)]
    average: Interval
    """Over the sets, each with the same weight."""
    versions: dict[str, str]
    """Of the packages that had a part in it."""

    def text(self) -> str:
        """As it stands in the file."""
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n"


def rounded(value: float) -> float:
    """To the decimal places of the file."""
    return round(value, DIGITS) + 0.0  # no -0.0


def read_result(path: Path) -> Result:
    """The result in a file, or in an evaluation's directory.

    Raises:
        RunError: there is none; it is cut short, of another format, or not consistent.
    """
    file = path / RESULT if path.is_dir() else path
    try:
        table = json.loads(file.read_bytes())
    except OSError as error:
        raise RunError(
            f"result {file}: {error.strerror}; give an evaluation's directory, or its {RESULT}: "
            "it is written once the evaluation is finished"
        ) from error
    except ValueError as error:  # what JSON and UTF-8 decoding raise
        raise RunError(f"result {file} cannot be read ({error}): {_AGAIN}") from error
    return _checked(table, file)


_AGAIN = "it is cut short or was altered; run the evaluation again"


def _checked(table: Any, file: Path) -> Result:
    if not isinstance(table, dict) or "format" not in table:
        raise RunError(f"result {file}: it is no result of `openrs eval`")
    if table["format"] != FORMAT:
        raise RunError(
            f"result {file}: format {table['format']!r}, this openrs reads {FORMAT}; "
            "use the openrs that wrote it, or evaluate again"
        )
    try:
        return Result.model_validate(table)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where, said = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
        raise RunError(f"result {file}: {where}: {said}; {_AGAIN}") from error
