"""Commands that measure models: `eval`, `compare`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.options import (
    AsJson,
    Overrides,
    Restarts,
    Resume,
    RunsDirectory,
    Samplers,
    Scorers,
    redis_option,
)

SIX = "aime24,aime25,amc23,math500,minerva,olympiadbench"

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A hub id, a model's directory, a checkpoint, or a run: its newest checkpoint.",
    ),
]
Benchmarks = Annotated[
    str,
    typer.Option(
        help=f"Names with commas between: {SIX.replace(',', ', ')}; toy; with --data-dir, the "
        "files there.",
    ),
]
Samples = Annotated[
    int | None, typer.Option(min=1, help="Completions of each problem; default: the protocol's.")
]
Problems = Annotated[
    int, typer.Option(min=0, help="How many problems of each benchmark, the first ones; 0: all.")
]
Protocol = Annotated[
    Literal["ours", "paper"] | None,
    typer.Option(help="Prompt and sampling: ours (avg@32, the default), or the paper's."),
]
AsRecipe = Annotated[
    Path | None, typer.Option(help="Ask as this training recipe does, in place of a protocol.")
]
Scoring = Annotated[
    Literal["openrs", "harness"],
    typer.Option(help="Whose verdict counts; harness: as lighteval's, beside ours."),
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Longest completion; default: the protocol's.")
]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Directory with NAME.jsonl for each benchmark: id, problem, answer."
    ),
]
AllowFailed = Annotated[
    bool, typer.Option("--allow-failed", help="Leave out problems that cannot be sampled.")
]
Inspect = Annotated[
    bool,
    typer.Option("--inspect", help="Also write logs for Inspect's viewer (extra `inspect`)."),
]
Dollars = Annotated[
    float,
    typer.Option("--dollars-per-hour", min=0, help="Price of this machine, to say what it cost."),
]
Name = Annotated[
    str | None, typer.Option("--run", help="Name of the evaluation; default: model and time.")
]
Evaluations = Annotated[
    Path, typer.Option(envvar="OPENRS_EVALS", help="Where evaluations are kept.")
]


def eval(
    model: Model = None,
    benchmarks: Benchmarks = SIX,
    samples: Samples = None,
    problems: Problems = 0,
    protocol: Protocol = None,
    recipe: AsRecipe = None,
    scoring: Scoring = "openrs",
    max_tokens: MaxTokens = None,
    data_directory: DataDirectory = None,
    allow_failed: AllowFailed = False,
    dollars: Dollars = 0.0,
    inspect: Inspect = False,
    run: Name = None,
    evals: Evaluations = Path("evals"),
    runs: RunsDirectory = Path("runs"),
    redis: Annotated[str | None, redis_option("Use this Redis; default: start one.")] = None,
    samplers: Samplers = 1,
    scorers: Scorers = 1,
    resume: Resume = False,
    restarts: Restarts = 10,
    overrides: Overrides = None,
) -> None:
    """Measure a model on benchmarks: many samples a problem, an interval for each figure."""
    from services.evaluator.request import Request
    from services.supervisor.evaluate import main
    from services.supervisor.ring import Plan

    plan = Plan(
        run=run, redis_url=redis, runs=evals, samplers=samplers, scorers=scorers, resume=resume,
        restarts=restarts,
    )  # fmt: skip
    request = Request(
        model=model, runs=runs, benchmarks=benchmarks.split(","), data_dir=data_directory,
        protocol=protocol, recipe=recipe, samples=samples, problems=problems,
        max_tokens=max_tokens, scoring=scoring,
        allow_failed=allow_failed, dollars_per_hour=dollars,
    )  # fmt: skip
    sys.exit(main(request, overrides or [], plan, inspect=inspect))


def compare(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="REFERENCE OTHER...",
            help="Directories of evaluations, or their result.json; the first is the reference.",
        ),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="SET", help="Compare this set; may be given several times."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw the differences into this PNG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether evaluations differ, problem by problem, or by how much they would have to."""
    from services.evaluator.compare import compare as compared

    typer.echo(compared(results, only=only or [], as_json=as_json, picture=picture))
