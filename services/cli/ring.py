"""Commands that start processes: `up` and `drift` all of a ring, the others one each."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from openrs_core import log
from openrs_core.lifecycle import Settings
from openrs_core.recipe.curate import CurateRecipe
from openrs_core.recipe.eval import EvalRecipe
from openrs_core.recipe.file import load, load_any, load_as
from services.cli.options import (
    LOCAL_REDIS,
    LogFormat,
    MetricsAddress,
    MetricsPort,
    Name,
    Overrides,
    RecipeArgument,
    RecipePath,
    RedisUrl,
    Restarts,
    Resume,
    Run,
    RunsDirectory,
    Samplers,
    Scorers,
    Strict,
    redis_option,
    values,
)


def up(
    recipe: RecipeArgument,
    run: Annotated[
        str | None, typer.Option("--run", help="Run id; default: the recipe's name and the time.")
    ] = None,
    redis: Annotated[str | None, redis_option("Use this Redis; default: start one.")] = None,
    runs: RunsDirectory = Path("runs"),
    samplers: Samplers = 1,
    scorers: Scorers = 1,
    resume: Resume = False,
    restarts: Restarts = 10,
    strict: Strict = False,
    overrides: Overrides = None,
) -> None:
    """Start the whole ring on this machine, show it, and stop it in order."""
    from services.supervisor.main import main
    from services.supervisor.ring import Plan

    plan = Plan(
        run=run, redis_url=redis, runs=runs, samplers=samplers, scorers=scorers, resume=resume,
        restarts=restarts,
    )  # fmt: skip
    sys.exit(main(recipe, values(overrides, strict=strict), plan))


def drift(
    recipe: RecipeArgument,
    steps: Annotated[int, typer.Option(min=1, help="How many steps are measured.")] = 20,
    redis: Annotated[str | None, redis_option("Use this Redis; default: start one.")] = None,
    runs: RunsDirectory = Path("runs"),
    samplers: Samplers = 1,
    scorers: Scorers = 1,
    overrides: Overrides = None,
) -> None:
    """Measure how far sampler and learner differ: the ring with a learning rate of 0."""
    from services.supervisor.drift import main
    from services.supervisor.ring import Plan

    plan = Plan(
        run=f"drift-{os.getpid()}", redis_url=redis, runs=runs, samplers=samplers,
        scorers=scorers, resume=False, restarts=0,
    )  # fmt: skip
    sys.exit(main(recipe, overrides or [], plan, steps))


def sampler(
    recipe: RecipePath,
    run: Run,
    redis: RedisUrl = LOCAL_REDIS,
    name: Name = None,
    metrics_port: MetricsPort = None,
    metrics_address: MetricsAddress = "127.0.0.1",
    log_format: LogFormat = "plain",
    overrides: Overrides = None,
) -> None:
    """Sample completions with vLLM; start as many as you have GPUs for."""
    from services.sampler.main import main

    name = name or _own_name("sampler")
    settings = _settings(run, name, redis, metrics_port, metrics_address, log_format)
    main(load_any(recipe, overrides or []), settings)


def scorer(
    recipe: RecipePath,
    run: Run,
    redis: RedisUrl = LOCAL_REDIS,
    name: Name = None,
    metrics_port: MetricsPort = None,
    metrics_address: MetricsAddress = "127.0.0.1",
    log_format: LogFormat = "plain",
    rewards: Annotated[
        Path | None,
        typer.Option(
            "--rewards",
            help="Where modules with rewards of your own lie, beside the working directory; "
            "default: the recipe's directory.",
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Score completions with math-verify; needs neither torch nor a GPU."""
    from services.scorer.main import main

    name = name or _own_name("scorer")
    settings = _settings(run, name, redis, metrics_port, metrics_address, log_format)
    main(load_any(recipe, overrides or []), settings, rewards or recipe.parent)


def learner(
    recipe: RecipePath,
    run: Run,
    redis: RedisUrl = LOCAL_REDIS,
    runs: RunsDirectory = Path("runs"),
    metrics_port: MetricsPort = None,
    metrics_address: MetricsAddress = "127.0.0.1",
    log_format: LogFormat = "plain",
    strict: Strict = False,
    overrides: Overrides = None,
) -> None:
    """Train with DeepSpeed; goes on from the run's newest checkpoint. One per run."""
    from services.learner.main import main

    settings = _settings(run, "learner", redis, metrics_port, metrics_address, log_format)
    main(load(recipe, values(overrides, strict=strict)), settings, runs)


def evaluator(
    recipe: RecipePath,
    run: Run,
    redis: RedisUrl = LOCAL_REDIS,
    runs: RunsDirectory = Path("evals"),
    metrics_port: MetricsPort = None,
    metrics_address: MetricsAddress = "127.0.0.1",
    log_format: LogFormat = "plain",
    overrides: Overrides = None,
) -> None:
    """Ask and count for an evaluation, as `eval` does, by hand; one per evaluation."""
    from services.evaluator.main import main

    settings = _settings(run, "evaluator", redis, metrics_port, metrics_address, log_format)
    main(load_as(EvalRecipe, recipe, overrides or []), settings, runs)


def curator(
    recipe: RecipePath,
    run: Run,
    redis: RedisUrl = LOCAL_REDIS,
    runs: RunsDirectory = Path("curated"),
    metrics_port: MetricsPort = None,
    metrics_address: MetricsAddress = "127.0.0.1",
    log_format: LogFormat = "plain",
    overrides: Overrides = None,
) -> None:
    """Sift and ask for a data set, as `curate` does, by hand; one per data set."""
    from services.curator.main import main

    settings = _settings(run, "curator", redis, metrics_port, metrics_address, log_format)
    main(load_as(CurateRecipe, recipe, overrides or []), settings, runs)


def _settings(
    run: str,
    name: str,
    redis: str,
    metrics_port: int | None,
    metrics_address: str,
    log_format: log.Format,
) -> Settings:
    return Settings(
        redis_url=redis, run=run, name=name,
        metrics_port=metrics_port, metrics_address=metrics_address, log_format=log_format,
    )  # fmt: skip


def _own_name(role: str) -> str:
    return f"{role}-{socket.gethostname()}-{os.getpid()}"
