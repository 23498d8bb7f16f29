"""A finished evaluation as logs of Inspect, whose viewer shows every conversation.

    inspect view --log-dir evals/mine/inspect

A file per set; sample i of a problem is Inspect's epoch i + 1. Needs the extra `inspect`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from openrs_core.errors import RunError
from services.evaluator.finish import SAMPLES
from services.evaluator.result import Result, SetResult, read_result
from services.evaluator.samples import Sample, read_samples

DIRECTORY = "inspect"

SCORER = "openrs"


def refuse_missing() -> None:
    """Raise RunError where Inspect is not installed."""
    if find_spec("inspect_ai") is None:
        raise RunError("--inspect: Inspect is not installed; pip install 'openrs[inspect]'")


def write_logs(evaluation: Path) -> list[Path]:
    """Write `inspect/SET.eval` for each set of a finished evaluation; the files.

    Raises:
        RunError: the evaluation is not finished, or its files cannot be read.
    """
    from inspect_ai.log import write_eval_log

    result = read_result(evaluation)
    (evaluation / DIRECTORY).mkdir(exist_ok=True)
    sets = {each.name: each for each in result.sets}
    written = []
    for name, rows in groupby(read_samples(evaluation / SAMPLES), lambda row: row.set):
        path = evaluation / DIRECTORY / f"{name}.eval"
        write_eval_log(_log(result, sets[name], rows), str(path))
        written.append(path)
    return written


def _log(result: Result, found: SetResult, rows: Iterator[Sample]) -> Any:
    from inspect_ai import log as inspect

    now, protocol = datetime.now(UTC).isoformat(), result.protocol
    return inspect.EvalLog(
        status="success",
        eval=inspect.EvalSpec(
            created=now,
            task=found.name,
            model=f"openrs/{result.model.name}",
            dataset=inspect.EvalDataset(name=found.name, samples=found.problems),
            config=inspect.EvalConfig(epochs=found.samples),
            task_args=protocol.model_dump(),
            packages=result.versions,
            metadata={"digest of the weights": result.model.digest},
        ),
        results=_results(found),
        stats=inspect.EvalStats(started_at=now, completed_at=now),
        samples=[_sample(row, result.model.name) for row in rows],
    )


def _results(found: SetResult) -> Any:
    from inspect_ai import log as inspect

    values = {"accuracy": found.accuracy.value, "low": found.accuracy.low}
    values |= {"high": found.accuracy.high, "stderr": found.accuracy.standard_error or 0.0}
    values |= {f"pass_at_{k}": value for k, value in found.pass_at.items()}
    metrics = {name: inspect.EvalMetric(name=name, value=value) for name, value in values.items()}
    drawn = found.problems * found.samples
    return inspect.EvalResults(
        total_samples=drawn,
        completed_samples=drawn,
        scores=[inspect.EvalScore(name=SCORER, scorer=SCORER, metrics=metrics)],
    )


def _sample(row: Sample, model: str) -> Any:
    from inspect_ai import log as inspect
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput
    from inspect_ai.scorer import Score

    facts = {"verdict": row.verdict, "tokens": row.tokens, "seed": row.seed}
    value = "C" if row.correct else "I"
    return inspect.EvalSample(
        id=row.problem_id,
        epoch=row.sample + 1,
        input=row.problem,
        target=row.reference,
        messages=[ChatMessageUser(content=row.problem), ChatMessageAssistant(content=row.text)],
        output=ModelOutput.from_content(
            model, row.text, stop_reason="max_tokens" if row.truncated else "stop"
        ),
        scores={SCORER: Score(value=value, answer=row.answer, metadata=facts)},
    )
