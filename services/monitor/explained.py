"""`openrs config RECIPE --explain`: every value, where it comes from, what it means.

A table on a terminal, a line for each value elsewhere.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from openrs_core.recipe.explain import Explained, explain
from openrs_core.recipe.file import load_any, read_table
from openrs_core.recipe.presets import PRESETS
from openrs_core.recipe.training import TrainingRecipe


def show(path: Path, overrides: Sequence[str], *, as_json: bool) -> str:
    """The values of a recipe.

    Raises:
        RecipeError: it is none.
    """
    recipe = load_any(path, overrides)
    preset = recipe.preset if isinstance(recipe, TrainingRecipe) else ""
    found = explain(recipe, read_table(path), overrides, PRESETS.get(preset))
    if as_json:
        return json.dumps([asdict(each) for each in found], indent=2)
    console = Console()
    if not console.is_terminal:
        return "\n".join(map(_line, found))
    with console.capture() as shown:
        console.print(_table(found))
    return shown.get().rstrip()


def _line(each: Explained) -> str:
    return f"{each.key} = {json.dumps(each.value)}  [{each.origin}]  {each.meaning}"


def _table(found: Sequence[Explained]) -> Table:
    table = Table("key", "value", "from", "meaning", box=None, pad_edge=False)
    for each in found:
        style = "dim" if each.origin == "default" else ""
        cells = (each.key, json.dumps(each.value), each.origin, each.meaning)
        table.add_row(*map(Text, cells), style=style)  # Text: brackets are no markup
    return table
