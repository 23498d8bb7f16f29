"""Commands that write files: `toy`, `export`."""

from pathlib import Path
from typing import Annotated

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
) -> None:
    """Write a checkpoint's model as a plain Hugging Face directory."""
    from services.monitor.export import export_model

    typer.echo(export_model(checkpoint, directory))
