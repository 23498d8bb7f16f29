"""The `openrs` command: thin, and light until a command runs (no torch, no vllm for --help)."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from redis.exceptions import NoPermissionError

from openrs_core import __version__
from openrs_core.errors import RunError, UserError
from openrs_core.lifecycle import EXIT_FORCED, EXIT_USER, Settings
from openrs_core.recipe.file import load
from openrs_core.ring.address import refusal, refuse_password
from openrs_core.wire.fields import MAX_NAME

app = typer.Typer(
    name="openrs",
    help="Train small language models to reason, asynchronously, on hardware you own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _refuse_long(name: str | None) -> str | None:
    if name and len(name) > MAX_NAME:
        raise RunError(f"--name of {len(name)} characters, at most {MAX_NAME}")
    return name


def _by_environment(context: typer.Context, value: str | None) -> str | None:
    """The address, whose password may come from the environment but not from the command line."""
    if (source := context.get_parameter_source("redis")) and source.name == "COMMANDLINE" and value:
        refuse_password(value)
    return value


def _redis_option(text: str) -> Any:
    return typer.Option("--redis", envvar="OPENRS_REDIS", callback=_by_environment, help=text)


RecipePath = Annotated[
    Path, typer.Option("--recipe", envvar="OPENRS_RECIPE", help="The run's recipe, a TOML file.")
]
RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, a TOML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe value, e.g. learner.lr=2e-6."),
]
Run = Annotated[
    str, typer.Option("--run", envvar="OPENRS_RUN", help="Run id; the same for all its processes.")
]
RedisUrl = Annotated[str, _redis_option("redis://, rediss:// or unix:// address, no password.")]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        envvar="OPENRS_NAME",
        callback=_refuse_long,
        help="Of this process; default: host and pid.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", envvar="OPENRS_METRICS_PORT",
        help="Serve Prometheus metrics here; 0: on a free port; default: not at all.",
    ),
]  # fmt: skip
MetricsAddress = Annotated[
    str,
    typer.Option(
        "--metrics-address", envvar="OPENRS_METRICS_ADDRESS", help="Interface of the metrics port."
    ),
]
LogFormat = Annotated[
    Literal["plain", "json"],
    typer.Option("--log-format", envvar="OPENRS_LOG_FORMAT", help="How log lines are written."),
]
RunsDirectory = Annotated[
    Path,
    typer.Option("--runs", envvar="OPENRS_RUNS", help="Where run directories are kept."),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run id, or its directory.")]
RunsRedis = Annotated[str | None, _redis_option("The run's Redis; default: that of `openrs up`.")]
Last = Annotated[int, typer.Option(min=1, help="How many of them to show.")]
AsJson = Annotated[bool, typer.Option("--json", help="Everything known, as JSON.")]
LOCAL_REDIS = "redis://127.0.0.1:6379"


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"openrs {__version__}")
        raise typer.Exit


@app.command()
def up(
    recipe: RecipeArgument,
    run: Annotated[
        str | None, typer.Option("--run", help="Run id; default: the recipe's name and the time.")
    ] = None,
    redis: Annotated[str | None, _redis_option("Use this Redis; default: start one.")] = None,
    runs: RunsDirectory = Path("runs"),
    samplers: Annotated[int, typer.Option(min=1, help="How many samplers.")] = 1,
    scorers: Annotated[int, typer.Option(min=1, help="How many scorers.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run --run.")] = False,
    restarts: Annotated[int, typer.Option(min=0, help="At most, of one in ten minutes.")] = 10,
    overrides: Overrides = None,
) -> None:
    """Start the whole ring on this machine, show it, and stop it in order."""
    from services.supervisor.main import Plan, main

    plan = Plan(
        run=run, redis_url=redis, runs=runs, samplers=samplers, scorers=scorers, resume=resume,
        restarts=restarts,
    )  # fmt: skip
    sys.exit(main(recipe, overrides or [], plan))


@app.command()
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

    settings = Settings(
        redis_url=redis, run=run, name=name or _own_name("sampler"),
        metrics_port=metrics_port, metrics_address=metrics_address, log_format=log_format,
    )  # fmt: skip
    main(load(recipe, overrides or []), settings)


@app.command()
def scorer(
    recipe: RecipePath,
    run: Run,
    redis: RedisUrl = LOCAL_REDIS,
    name: Name = None,
    metrics_port: MetricsPort = None,
    metrics_address: MetricsAddress = "127.0.0.1",
    log_format: LogFormat = "plain",
    overrides: Overrides = None,
) -> None:
    """Score completions with math-verify; needs neither torch nor a GPU."""
    from services.scorer.main import main

    settings = Settings(
        redis_url=redis, run=run, name=name or _own_name("scorer"),
        metrics_port=metrics_port, metrics_address=metrics_address, log_format=log_format,
    )  # fmt: skip
    main(load(recipe, overrides or []), settings)


@app.command()
def learner(
    recipe: RecipePath,
    run: Run,
    redis: RedisUrl = LOCAL_REDIS,
    runs: RunsDirectory = Path("runs"),
    metrics_port: MetricsPort = None,
    metrics_address: MetricsAddress = "127.0.0.1",
    log_format: LogFormat = "plain",
    overrides: Overrides = None,
) -> None:
    """Train with DeepSpeed; goes on from the run's newest checkpoint. One per run."""
    from services.learner.main import main

    settings = Settings(
        redis_url=redis, run=run, name="learner",
        metrics_port=metrics_port, metrics_address=metrics_address, log_format=log_format,
    )  # fmt: skip
    main(load(recipe, overrides or []), settings, runs)


@app.command()
def config(recipe: RecipeArgument, overrides: Overrides = None) -> None:
    """Print every value a recipe stands for, defaults included, as JSON."""
    typer.echo(load(recipe, overrides or []).model_dump_json(indent=2))


@app.command()
def toy(
    directory: Annotated[Path, typer.Argument(help="Where to put it; must not exist.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the model and the problems.")] = 0,
) -> None:
    """Make the toy model and its problems as files, to look at or to build upon."""
    from services.toy.files import write_toy

    for line in write_toy(directory, seed):
        typer.echo(line)


@app.command()
def weights(
    run: RunArgument,
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
    last: Last = 20,
    as_json: AsJson = False,
) -> None:
    """Show which weights were published, what they weighed, and which sampler has which."""
    from services.monitor.weights import show

    typer.echo(show(run, runs, redis, last, as_json=as_json))


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, or a run: its newest.")],
    directory: Annotated[Path, typer.Argument(help="Where to put it; must not exist.")],
) -> None:
    """Write a checkpoint's model as a plain Hugging Face directory."""
    from services.monitor.export import export_model

    typer.echo(export_model(checkpoint, directory))


dead = typer.Typer(help="Look at dead letters, and put them back.", no_args_is_help=True)
app.add_typer(dead, name="dead")


@dead.command("list")
def dead_list(
    run: RunArgument,
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
    last: Last = 20,
    as_json: AsJson = False,
) -> None:
    """List the messages that were buried, newest first."""
    from services.monitor.dead import DeadLetters, show_list

    with DeadLetters(run, runs, redis) as found:
        typer.echo(show_list(found, last, as_json=as_json))


@dead.command("show")
def dead_show(
    run: RunArgument,
    letter: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
) -> None:
    """Show one of them: why it was buried, and the message itself."""
    from services.monitor.dead import DeadLetters, show_one

    with DeadLetters(run, runs, redis) as found:
        typer.echo(show_one(found, letter))


@dead.command("requeue")
def dead_requeue(
    run: RunArgument,
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="As `list` shows them.")
    ] = None,
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
    every: Annotated[bool, typer.Option("--all", help="All that can be put back.")] = False,
) -> None:
    """Put them back into the streams they came from."""
    from services.monitor.dead import DeadLetters, put_back

    with DeadLetters(run, runs, redis) as found:
        for line in put_back(found, letters or [], every=every):
            typer.echo(line)


def _own_name(role: str) -> str:
    return f"{role}-{socket.gethostname()}-{os.getpid()}"


def main() -> None:
    """Entry point: what the user can mend ends in one line and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(EXIT_FORCED)
    except (UserError, NoPermissionError) as error:
        sys.stderr.write(f"{refusal(error) or error}\n")
        sys.exit(EXIT_USER)


if __name__ == "__main__":
    main()
