"""Options and arguments that several commands take, each with its help and environment variable."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from openrs_core.errors import RunError
from openrs_core.ring.address import refuse_password
from openrs_core.wire.fields import MAX_NAME

LOCAL_REDIS = "redis://127.0.0.1:6379"


def _refuse_long(name: str | None) -> str | None:
    if name and len(name) > MAX_NAME:
        raise RunError(f"--name of {len(name)} characters, at most {MAX_NAME}")
    return name


def _by_environment(context: typer.Context, value: str | None) -> str | None:
    """The address, whose password may come from the environment but not from the command line."""
    if (source := context.get_parameter_source("redis")) and source.name == "COMMANDLINE" and value:
        refuse_password(value)
    return value


def redis_option(text: str) -> Any:
    """`--redis`, with this help; a password on the command line is refused."""
    return typer.Option("--redis", envvar="OPENRS_REDIS", callback=_by_environment, help=text)


RecipePath = Annotated[
    Path, typer.Option("--recipe", envvar="OPENRS_RECIPE", help="The run's recipe, a TOML file.")
]
RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, a TOML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe value, e.g. learner.lr=2e-6."),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="End where a row of the data cannot be used; the same as --set data.strict=true.",
    ),
]
Run = Annotated[
    str, typer.Option("--run", envvar="OPENRS_RUN", help="Run id; the same for all its processes.")
]
RedisUrl = Annotated[
    str, redis_option("Address: redis://, rediss:// or unix://, without the password.")
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        envvar="OPENRS_NAME",
        callback=_refuse_long,
        help="Of this process, unique in the run; default: role, host and process id.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", envvar="OPENRS_METRICS_PORT",
        help="Port for Prometheus metrics; 0 takes a free one; default: none are served.",
    ),
]  # fmt: skip
MetricsAddress = Annotated[
    str,
    typer.Option(
        "--metrics-address",
        envvar="OPENRS_METRICS_ADDRESS",
        help="Interface the metrics port is open on.",
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
Samplers = Annotated[int, typer.Option(min=1, help="How many samplers.")]
Scorers = Annotated[int, typer.Option(min=1, help="How many scorers.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run that --run names.")]
Restarts = Annotated[
    int, typer.Option(min=0, help="Most restarts of one process within ten minutes.")
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run id, or its directory.")]
RunsRedis = Annotated[
    str | None, redis_option("The run's Redis; default: the one `openrs up` started.")
]
Last = Annotated[int, typer.Option(min=1, help="How many to show, the newest ones.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything that is known, as JSON.")]


def values(overrides: list[str] | None, *, strict: bool = False) -> list[str]:
    """What `--set` and its shorthands say, in order."""
    return [*(overrides or []), *(["data.strict=true"] if strict else [])]
