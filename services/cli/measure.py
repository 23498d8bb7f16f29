"""Commands that measure models: `eval`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.options import Overrides, RunsDirectory, redis_option


def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A hub id, a model's directory, a checkpoint, or a run: its newest checkpoint.",
        ),
    ] = None,
    benchmarks: Annotated[
        str,
        typer.Option(
            help="Names with commas between: aime24, aime25, amc23, math500, minerva, "
            "olympiadbench; toy; with --data-dir, the files there."
        ),
    ] = "aime24,aime25,amc23,math500,minerva,olympiadbench",
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Completions of each problem; default: the protocol's."),
    ] = None,
    protocol: Annotated[
        Literal["ours", "paper"] | None,
        typer.Option(help="Prompt and sampling: ours (avg@32, the default), or the paper's."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Ask as this training recipe does, in place of a protocol."),
    ] = None,
    scoring: Annotated[
        Literal["openrs", "harness"],
        typer.Option(help="Whose verdict counts; harness: as lighteval's, beside ours."),
    ] = "openrs",
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest completion; default: the protocol's.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Directory with NAME.jsonl for each benchmark: id, problem, answer."),
    ] = None,
    allow_failed: Annotated[
        bool, typer.Option("--allow-failed", help="Leave out problems that cannot be sampled.")
    ] = False,
    dollars_per_hour: Annotated[
        float, typer.Option(min=0, help="Price of this machine, to say what it cost.")
    ] = 0.0,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the evaluation; default: model and time.")
    ] = None,
    evals: Annotated[
        Path, typer.Option(envvar="OPENRS_EVALS", help="Where evaluations are kept.")
    ] = Path("evals"),
    runs: RunsDirectory = Path("runs"),
    redis: Annotated[str | None, redis_option("Use this Redis; default: start one.")] = None,
    samplers: Annotated[int, typer.Option(min=1, help="How many samplers.")] = 1,
    scorers: Annotated[int, typer.Option(min=1, help="How many scorers.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the evaluation that --run names.")
    ] = False,
    restarts: Annotated[
        int, typer.Option(min=0, help="Most restarts of one process within ten minutes.")
    ] = 10,
    overrides: Overrides = None,
) -> None:
    """Measure a model on benchmarks, many samples a problem, with an interval."""
    from services.evaluator.request import Request, recipe_of
    from services.supervisor.evaluate import kept_recipe, main
    from services.supervisor.ring import Plan

    plan = Plan(
        run=run, redis_url=redis, runs=evals, samplers=samplers, scorers=scorers, resume=resume,
        restarts=restarts,
    )  # fmt: skip
    if resume:
        sys.exit(main(kept_recipe(plan), plan))
    if model is None:
        raise typer.BadParameter("which model? (none is needed with --resume)", param_hint="MODEL")
    request = Request(
        model=model, runs=runs, benchmarks=[name.strip() for name in benchmarks.split(",")],
        data_dir=data_dir, protocol=protocol, recipe=recipe, samples=samples,
        max_tokens=max_tokens, scoring=scoring, allow_failed=allow_failed,
        dollars_per_hour=dollars_per_hour,
    )  # fmt: skip
    sys.exit(main(recipe_of(request, overrides or []), plan))
