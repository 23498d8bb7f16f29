"""Recipes as files: reading them, naming what is wrong with them, comparing two.

recipe = load("recipes/toy.toml", ["learner.lr=2e-6"])
"""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from openrs_core.errors import RecipeError
from openrs_core.recipe.curate import CurateRecipe
from openrs_core.recipe.eval import EvalRecipe
from openrs_core.recipe.ring import RingRecipe
from openrs_core.recipe.training import TrainingRecipe

R = TypeVar("R", bound=RingRecipe)

KINDS: Mapping[str, type[RingRecipe]] = {
    "learner": TrainingRecipe, "eval": EvalRecipe, "curate": CurateRecipe,
}  # fmt: skip
"""Kinds of recipes, by the section that only they have."""

COMMANDS: Mapping[type[RingRecipe], str] = {
    TrainingRecipe: "openrs up",
    EvalRecipe: "openrs eval",
    CurateRecipe: "openrs curate",
}
"""Which command each is for."""


def load(path: str | Path, overrides: Sequence[str] = ()) -> TrainingRecipe:
    """The recipe for a training in a TOML file or a run's `recipe.json`, with overrides.

    Raises:
        RecipeError: no such file, no TOML, or a key or value that is refused.
    """
    return load_as(TrainingRecipe, path, overrides)


def load_as(kind: type[R], path: str | Path, overrides: Sequence[str] = ()) -> R:
    """The recipe of this kind in a file, with `section.key=value` overrides.

    Raises:
        RecipeError: no such file, no TOML, a recipe of another kind, or a key or value that is
            refused.
    """
    table = read_table(path)
    for override in overrides:
        apply(table, override)
    return parse(table, source=str(path), kind=kind)


def load_any(path: str | Path, overrides: Sequence[str] = ()) -> RingRecipe:
    """The recipe in a file, whatever it is for: all of them hold what the ring needs.

    Raises:
        RecipeError: as `load_as`.
    """
    table = read_table(path)
    kind = next((KINDS[name] for name in KINDS if name in table), TrainingRecipe)
    return load_as(kind, path, overrides)


def read_table(path: str | Path) -> dict[str, Any]:
    """What a recipe's file holds, unchecked.

    Raises:
        RecipeError: no such file, or neither TOML nor JSON.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise RecipeError(
            f"recipe {path}: {error.strerror}; give the path of a .toml file"
        ) from error
    except ValueError as error:  # what TOML, JSON and UTF-8 decoding raise
        raise RecipeError(f"recipe {path}: cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise RecipeError(f"recipe {path}: cannot be read: it is no table of keys")
    return table


def parse(table: Mapping[str, Any], source: str, kind: type[R]) -> R:
    """The recipe in a table.

    Raises:
        RecipeError: naming the source, the field, its value and the remedy.
    """
    for name, other in KINDS.items():
        if name in table and other is not kind:
            raise RecipeError(
                f"recipe {source}: it has a section {name!r}: such a recipe is for "
                f"`{COMMANDS[other]}`, not for `{COMMANDS[kind]}`"
            )
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise RecipeError(f"recipe {source}: {_first_fault(error, kind)}") from error


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Where two resolved recipes differ: `learner.lr: 1e-06 here, 2e-06 there`."""
    left, right = dict(flat(ours)), dict(flat(theirs))
    return [
        f"{key}: {left.get(key)!r} here, {right.get(key)!r} there"
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values: `learner.lr`, 1e-6."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def apply(table: dict[str, Any], override: str) -> None:
    """Put a `section.key=value` into a recipe's table.

    Raises:
        RecipeError: it has no value, or its section is none.
    """
    key, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: expected KEY=VALUE, e.g. learner.lr=2e-6")
    *sections, name = key.strip().split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {override}: {section!r} is a value, not a section")
    table[name] = _value(text.strip())


def _value(text: str) -> Any:
    """The text as a TOML value; as a string if it is not TOML, so strings need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _first_fault(error: ValidationError, kind: type[RingRecipe]) -> str:
    fault = error.errors(include_url=False)[0]
    path = [str(part) for part in fault["loc"]]
    if fault["type"] == "extra_forbidden":
        return _unknown_key(path, kind)
    if fault["type"] == "missing":
        return f"{'.'.join(path)} is missing; add it"
    where, message = ".".join(path), fault["msg"].removeprefix("Value error, ")
    if not path or isinstance(fault["input"], Mapping):  # a section: it names the key itself
        return f"{where}: {message}" if path else message
    return f"{where} is {fault['input']!r}: {message[0].lower()}{message[1:]}"


def _unknown_key(path: list[str], kind: type[RingRecipe]) -> str:
    section: Any = kind
    for part in path[:-1]:  # a number is a place in a list
        is_place = part.isdigit() and not hasattr(section, "model_fields")
        section = get_args(section)[0] if is_place else section.model_fields[part].annotation
    known = list(section.model_fields) if hasattr(section, "model_fields") else get_args(section)
    elsewhere = list(_places(path[-1], kind))
    close = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
    if elsewhere:
        hint = f"its place is {' or '.join(elsewhere)}"
    return f"{'.'.join(path)} is no key of a recipe; {hint}"


def _places(key: str, kind: type[RingRecipe]) -> Iterator[str]:
    """Where a key of just this name is, in any section."""
    for name, section in kind.model_fields.items():
        if key in getattr(section.annotation, "model_fields", {}):
            yield f"{name}.{key}"
