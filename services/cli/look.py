"""Commands that show what a recipe or a run holds: `config`, `weights`, `dead`."""

from pathlib import Path
from typing import Annotated

import typer

from openrs_core.recipe.file import load_any
from services.cli.options import (
    AsJson,
    Last,
    Overrides,
    RecipeArgument,
    RunArgument,
    RunsDirectory,
    RunsRedis,
)

dead = typer.Typer(
    help="Look at messages that were buried as unusable (dead letters), and put them back.",
    no_args_is_help=True,
)


def config(
    recipe: RecipeArgument,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say where each value comes from and what it means.")
    ] = False,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Print every value a recipe stands for, defaults included, as JSON unless explained."""
    if explain:
        from services.monitor.explained import show

        typer.echo(show(recipe, overrides or [], as_json=as_json))
    else:
        typer.echo(load_any(recipe, overrides or []).model_dump_json(indent=2))


def weights(
    run: RunArgument,
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
    last: Last = 20,
    as_json: AsJson = False,
) -> None:
    """Show which weights were published, how large they were, and which sampler has which."""
    from services.monitor.weights import show

    typer.echo(show(run, runs, redis, last, as_json=as_json))


@dead.command("list")
def dead_list(
    run: RunArgument,
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
    last: Last = 20,
    as_json: AsJson = False,
) -> None:
    """List a run's dead letters, newest first."""
    from services.monitor.dead import DeadLetters, show_list

    with DeadLetters(run, runs, redis) as found:
        typer.echo(show_list(found, last, as_json=as_json))


@dead.command("show")
def dead_show(
    run: RunArgument,
    letter: Annotated[
        str, typer.Argument(metavar="ID", help="The letter's id, as `list` shows it.")
    ],
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
) -> None:
    """Show one dead letter: why it was buried, and the message itself."""
    from services.monitor.dead import DeadLetters, show_one

    with DeadLetters(run, runs, redis) as found:
        typer.echo(show_one(found, letter))


@dead.command("requeue")
def dead_requeue(
    run: RunArgument,
    letters: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="The letters' ids, as `list` shows them."),
    ] = None,
    runs: RunsDirectory = Path("runs"),
    redis: RunsRedis = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every letter that can be put back; give no ID then.")
    ] = False,
) -> None:
    """Put dead letters back into the streams they came from."""
    from services.monitor.dead import DeadLetters, put_back

    with DeadLetters(run, runs, redis) as found:
        for line in put_back(found, letters or [], every=every):
            typer.echo(line)
