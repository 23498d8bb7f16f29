"""Commands that write files: `toy`, `export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def toy(
    directory: Annotated[Path, typer.Argument(help="Directory to make; must not exist yet.")],
    seed: Annotated[int, typer.Option(min=0, help="Random seed of model and problems.")] = 0,
) -> None:
    """Make the toy model and its problems as files, to look at or to build upon."""
    from services.toy.files import write_toy

    for line in write_toy(directory, seed):
        typer.echo(line)


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint's directory, or a run's: its newest checkpoint.")
    ],
    directory: Annotated[Path, typer.Argument(help="Directory to make; must not exist yet.")],
    best: Annotated[
        bool,
        typer.Option("--best", help="Of a run: its best on held-out problems."),
    ] = False,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option("--dtype", help="Type of the weights; default: as they are."),
    ] = None,
    result: Annotated[
        list[Path] | None,
        typer.Option("--result", help="An evaluation for the card, of this model or another."),
    ] = None,
    evals: Annotated[
        Path,
        typer.Option("--evals", help="Where evaluations of this model are looked for."),
    ] = Path("evals"),
    push: Annotated[
        str,
        typer.Option(
            "--push", metavar="OWNER/NAME", help="Publish it on the Hugging Face hub too."
        ),
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="With --push: for yourself alone.")
    ] = False,
) -> None:
    """Write a checkpoint's model as a plain Hugging Face directory, with a card of its origin."""
    from services.exporter.main import Wanted
    from services.exporter.main import export as write

    wanted = Wanted(
        best=best, dtype=dtype, push=push, private=private, results=tuple(result or ()), evals=evals
    )
    for line in write(checkpoint, directory, wanted):
        typer.echo(line)
