"""From what the command line asks for to the recipe of an evaluation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrs_core.errors import RunError
from openrs_core.recipe.data import PromptSection
from openrs_core.recipe.eval import EvalRecipe, EvalSet, Scoring
from openrs_core.recipe.file import apply, load, parse
from openrs_core.recipe.training import TrainingRecipe
from services.evaluator.benchmarks import sets
from services.evaluator.protocols import PROTOCOLS, Protocol
from services.evaluator.target import Target, target

SAMPLES = 8
"""Of each problem, where neither a protocol nor the user says how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be evaluated, on what, and how."""

    model: str | None
    runs: Path
    """Where a run is looked for."""
    benchmarks: Sequence[str]
    data_dir: Path | None = None
    protocol: Protocol | None = None
    recipe: Path | None = None
    """A training recipe, whose prompt, type and sampler are taken in place of a protocol's."""
    samples: int | None = None
    problems: int = 0
    """Of each benchmark; 0: all."""
    max_tokens: int | None = None
    scoring: Scoring = "openrs"
    allow_failed: bool = False
    dollars_per_hour: float = 0.0


def recipe_of(request: Request, overrides: Sequence[str] = ()) -> EvalRecipe:
    """The recipe that the request stands for, changed by `KEY=VALUE` overrides.

    Raises:
        RunError: there is no such model or benchmark, or the options contradict each other.
        RecipeError: a value is refused.
    """
    if not request.model:
        raise RunError("MODEL: which model? give a hub id, a directory, a checkpoint or a run")
    if request.recipe and request.protocol:
        raise RunError("--recipe and --protocol: both say what is asked; give one of them")
    wanted = target(request.model, request.runs)
    found = sets([name.strip() for name in request.benchmarks], request.data_dir)
    table = _as_recipe(load(request.recipe)) if request.recipe else _as_protocol(request.protocol)
    table["name"] = f"eval-{_plain(wanted.name)}"[:60]
    table["model"] = {"path": wanted.path, "dtype": _dtype(request, wanted)}
    _fill(table, request, wanted, found)
    for override in overrides:
        apply(table, override)
    return parse(table, source="of the evaluation", kind=EvalRecipe)


def _as_protocol(name: Protocol | None) -> dict[str, Any]:
    chosen = PROTOCOLS[name or "ours"]
    table = {key: dict(value) for key, value in chosen.items()}
    table["eval"]["protocol"] = name or "ours"
    return table


def _as_recipe(recipe: TrainingRecipe) -> dict[str, Any]:
    """What of a training recipe decides how its model is asked."""
    whole = recipe.resolved()
    kept = {key: whole[key] for key in ("seed", "redelivery_seconds", "sampler", "scorer", "toy")}
    prompt = {key: whole["data"][key] for key in PromptSection.model_fields}
    rules = {"samples": SAMPLES, "temperature": recipe.evaluation.temperature, "top_p": 1.0}
    return {**kept, "data": prompt, "eval": rules}


def _dtype(request: Request, wanted: Target) -> str:
    """That of the recipe that is given, or of the run that made it."""
    if source := request.recipe or wanted.recipe:
        return load(source).model.dtype
    return "float32" if wanted.path == "toy" else "bfloat16"


def _fill(
    table: dict[str, Any], request: Request, wanted: Target, found: Sequence[EvalSet]
) -> None:
    rules = table["eval"]
    rules["sets"] = [each.model_dump() | {"problems": request.problems} for each in found]
    rules["model_name"], rules["scoring"] = wanted.name, request.scoring
    rules["allow_failed"] = request.allow_failed
    rules["dollars_per_hour"] = request.dollars_per_hour
    if request.samples:
        rules["samples"] = request.samples
    if request.max_tokens:
        table["sampler"]["max_tokens"] = request.max_tokens
    scorer: Mapping[str, Any] = table.get("scorer", {})
    weights = {"accuracy": 1.0} | ({"harness": 0.0} if request.scoring == "harness" else {})
    table["scorer"] = {**scorer, "weights": weights}


def _plain(name: str) -> str:
    """As a run id may be."""
    return re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip("-.") or "model"
