"""Where every value of a recipe comes from, and what it means.

The later wins: the key's default, the preset, the recipe's file, `--set`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openrs_core.recipe.file import flat
from openrs_core.recipe.ring import RingRecipe

Origin = Literal["default", "preset", "recipe", "--set"]


@dataclass(frozen=True, slots=True)
class Explained:
    """One value of a recipe."""

    key: str
    value: Any
    origin: Origin
    meaning: str
    """The first sentence of what the key's docstring says."""


def explain(
    recipe: RingRecipe,
    table: Mapping[str, Any],
    overrides: Iterable[str] = (),
    preset: Mapping[str, Any] | None = None,
) -> list[Explained]:
    """Every value in force, in the order of the sections.

    `table` is what the recipe's file holds, `overrides` are the `KEY=VALUE` of `--set`, `preset`
    has dotted keys.

    Example:
        explain(load(path, ["learner.lr=1"]), read_table(path), ["learner.lr=1"])
    """
    said: list[tuple[Origin, set[str]]] = [
        ("--set", {text.partition("=")[0].strip() for text in overrides}),
        ("recipe", {key for key, _ in flat(table)}),
        ("preset", set(preset or {})),
    ]
    return [
        Explained(key, value, _origin(key, said), _first_sentence(_description(recipe, key)))
        for key, value in flat(recipe.resolved())
    ]


def _origin(key: str, said: list[tuple[Origin, set[str]]]) -> Origin:
    """The first that names the key, or a table that it is in."""
    parts = key.split(".")
    names = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return next((origin for origin, keys in said if not names.isdisjoint(keys)), "default")


def _description(recipe: RingRecipe, key: str) -> str:
    """Of the key, or of the innermost one that holds it: `scorer.weights` for its entries."""
    section: Any = recipe
    found = ""
    for part in key.split("."):
        field = getattr(type(section), "model_fields", {}).get(part)
        if field is None:
            break
        found, section = field.description or "", getattr(section, part)
    return found


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(text.split()), maxsplit=1)[0]
