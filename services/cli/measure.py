"""Commands that say what a model is worth: `compare`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import AsJson


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
