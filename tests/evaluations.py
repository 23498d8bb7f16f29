"""Evaluations made up from how many samples of each problem are correct."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from services.evaluator import finish
from services.evaluator.result import Interval, Model, ProblemResult, Protocol, Result, SetResult
from services.evaluator.samples import Sample
from services.evaluator.summary import SetRows

MODEL = Model(name="toy", digest="0f", dtype="float32")
PROTOCOL = Protocol(
    preset="", samples=4, temperature=0.6, top_p=0.95, max_tokens=64, seed=0, system_prompt="",
    user_prompt="{problem}", examples=[], max_prompt_tokens=1024, scoring="openrs",
)  # fmt: skip
VERSIONS = {"openrs": "0.1.0", "vllm": "0.32.0"}


def a_row(**values: Any) -> Sample:
    """A correct sample, unless something else is said."""
    row = {
        "set": "toy", "problem_id": "toy/0", "problem": "3+1?", "reference": "4",
        "sample": 0, "seed": 0, "correct": True,
        "harness_correct": None, "verdict": "correct", "answer": "4", "tokens": 10,
        "truncated": False, "text": "so \\boxed{4}",
    }  # fmt: skip
    return Sample(**{**row, **values})


def a_set(correct: Sequence[int], *, name: str = "toy", samples: int = 4) -> SetRows:
    """So many correct samples of each problem; the wrong ones all say 5."""
    rows = [
        a_row(
            set=name, problem_id=f"{name}/{problem}", sample=number, correct=number < right,
            verdict="correct" if number < right else "incorrect",
            answer="4" if number < right else "5",
        )
        for problem, right in enumerate(correct)
        for number in range(samples)
    ]  # fmt: skip
    ids = [f"{name}/{problem}" for problem in range(len(correct))]
    return SetRows(name=name, digest=f"of {name}", problems=ids, samples=samples, rows=rows)


def written(directory: Path, *sets: SetRows, **changes: Any) -> Result:
    """The evaluation of these sets, finished in a directory; `changes` are of its protocol."""
    protocol = PROTOCOL.model_copy(update=changes)
    return finish.write(directory, MODEL, protocol, sets, VERSIONS)


def a_result(counts: Mapping[str, Sequence[int]], samples: int, **changes: Any) -> Result:
    """A result with so many correct samples of each problem, by set; its intervals are made up."""
    sets = [
        SetResult(
            name=name, digest=f"of {name}", problems=len(correct), samples=samples,
            accuracy=_interval(fmean(correct) / samples), pass_at={}, maj_at={}, truncated=0,
            unverified=0, failed=0, tokens=1, disagreements=0,
            by_problem=[
                ProblemResult(id=f"{name}/{n}", correct=c, samples=samples, tokens=1, truncated=0)
                for n, c in enumerate(correct)
            ],
        )
        for name, correct in counts.items()
    ]  # fmt: skip
    protocol = PROTOCOL.model_copy(update={"samples": samples, **changes})
    average = _interval(fmean(found.accuracy.value for found in sets))
    return Result(
        model=MODEL, protocol=protocol, sets=sets, average=average, versions=dict(VERSIONS)
    )


def _interval(value: float) -> Interval:
    return Interval(value=value, standard_error=None, low=value, high=value)
