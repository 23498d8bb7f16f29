"""The `openrs` command: thin, and light until a command runs (no torch, no vllm for --help).

A file per group of commands: `ring` starts processes, `measure` measures models, `data` makes data
sets, `look` shows, `files` makes files; `options` holds what several commands take. A command
imports its service when it runs.
"""

import sys
from typing import Annotated

import typer
from redis.exceptions import NoPermissionError

from openrs_core import __version__
from openrs_core.errors import UserError
from openrs_core.lifecycle import EXIT_FORCED, EXIT_USER
from openrs_core.ring.address import refusal
from services.cli import data, files, look, measure, ring

COMMANDS = (
    ring.up, measure.eval, data.curate, ring.drift, ring.sampler, ring.scorer, ring.learner,
    ring.evaluator, ring.curator,
    measure.compare, look.config, files.toy, look.weights, files.export,
)  # fmt: skip
"""In the order in which `--help` lists them; `dead`, a group, comes last."""

app = typer.Typer(
    name="openrs",
    help="Train small language models to reason, asynchronously, on hardware you own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(look.dead, name="dead")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"openrs {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; what the user can mend ends in one line and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(EXIT_FORCED)
    except (UserError, NoPermissionError) as error:
        sys.stderr.write(f"{refusal(error) or error}\n")
        sys.exit(EXIT_USER)
