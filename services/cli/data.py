"""Commands that make data sets: `curate`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import (
    Overrides,
    RecipeArgument,
    Restarts,
    Samplers,
    Scorers,
    Strict,
    redis_option,
    values,
)


def curate(
    recipe: RecipeArgument,
    run: Annotated[
        str | None,
        typer.Option("--run", help="Name of the data set; default: the recipe's name."),
    ] = None,
    curated: Annotated[
        Path, typer.Option(envvar="OPENRS_CURATED", help="Where data sets are kept.")
    ] = Path("curated"),
    redis: Annotated[str | None, redis_option("Use this Redis; default: start one.")] = None,
    samplers: Samplers = 1,
    scorers: Scorers = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the data set that was begun.")
    ] = False,
    restarts: Restarts = 10,
    strict: Strict = False,
    overrides: Overrides = None,
) -> None:
    """Make a data set: no problem of a benchmark, none twice, none unfit, too easy or too hard."""
    from services.supervisor.curate import main
    from services.supervisor.ring import Plan

    plan = Plan(
        run=run, redis_url=redis, runs=curated, samplers=samplers, scorers=scorers, resume=resume,
        restarts=restarts,
    )  # fmt: skip
    sys.exit(main(recipe, values(overrides, strict=strict), plan))
