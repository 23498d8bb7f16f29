"""The card of a data set: README.md with a YAML header, as the Hugging Face hub reads it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openrs_core import __version__
from openrs_core.recipe.curate import CurateRecipe
from services.curator.curation import Curation
from services.curator.mixture import Mixture

SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)  # fmt: skip
"""The hub's names of sizes, each up to a number of rows."""


def card(curation: Curation, mixture: Mixture) -> str:
    """The whole file. It says nothing of when or where it was made: no path of this machine."""
    recipe, count = curation.recipe, len(mixture.chosen)
    size = next((name for most, name in SIZES if count < most), "n>10M")
    parts = [
        *_header(recipe, size),
        f"# {recipe.name}",
        "",
        f"{count:,} problems of mathematics, each with one answer that can be verified. Made by "
        f"`openrs curate` (openrs {__version__}); the recipe stands at the end.",
        "",
        *_parts(recipe, mixture),
        *_funnel(curation),
        *_hits(curation),
        *_model(recipe),
        "## Columns",
        "",
        "`id`, `problem`, `answer`, `part`, `source`; and where a model was asked `pass_rate` = "
        "`correct` / `samples` of its answers that could be verified. The licences are those of "
        "the sources.",
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(_public(recipe.resolved()), indent=2, ensure_ascii=False),
        "```",
    ]
    return "\n".join(parts) + "\n"


def _header(recipe: CurateRecipe, size: str) -> Iterator[str]:
    yield "---"
    yield f"pretty_name: {json.dumps(recipe.name)}"
    yield "task_categories: [text-generation]"
    yield "language: [en]"
    yield "tags: [math, reasoning, openrs]"
    yield f"size_categories: [{json.dumps(size)}]"
    yield "configs:"
    yield "  - config_name: default"
    yield "    data_files: [{split: train, path: problems.parquet}]"
    yield "---"
    yield ""


def _parts(recipe: CurateRecipe, mixture: Mixture) -> Iterator[str]:
    counted = Counter(each.part for each in mixture.chosen)
    yield "## Parts"
    yield ""
    yield "| part | source | pass rate | asked for | problems |"
    yield "|---|---|---|---|---|"
    places = {each.name: _place(each.source) for each in recipe.curate.sources}
    for part in recipe.curate.mixed_of:
        band = f"{part.low:g} to {part.high:g}" if recipe.curate.solve.samples else "not measured"
        wanted = f"{part.count:,}" if part.count else "all"
        yield f"| {part.name} | `{places[part.of]}` | {band} | {wanted} | {counted[part.name]:,} |"
    yield ""
    for name, missing in mixture.short.items():
        yield f"Of `{name}` there were {missing:,} fewer than asked for."
        yield ""


def _funnel(curation: Curation) -> Iterator[str]:
    yield "## What is left after each stage"
    yield ""
    yield "![problems after each stage](funnel.png)"
    yield ""
    yield f"Of {curation.funnel.stages[0].before:,} rows."
    yield ""
    yield "| stage | left | went | why |"
    yield "|---|---|---|---|"
    for stage in curation.funnel.stages:
        why = "; ".join(f"{_cell(reason)}: {n:,}" for reason, n in stage.reasons.items())
        yield f"| {stage.name} | {stage.kept:,} | {stage.before - stage.kept:,} | {why} |"
    yield ""


def _hits(curation: Curation) -> Iterator[str]:
    yield "## Benchmarks kept out"
    yield ""
    if not curation.recipe.curate.benchmarks:
        yield "**None was compared with.**"
        yield ""
        return
    counted = Counter(each.hit.benchmark.partition("/")[0] for each in curation.hits)
    rules = curation.recipe.curate.contamination
    yield (
        f"Compared in words: the same, contained, the same but for numbers, or sharing "
        f"{rules.overlap:.0%} of a benchmark problem's runs of {rules.words} words."
    )
    yield ""
    yield "| benchmark | source | its problems found here, and left out |"
    yield "|---|---|---|"
    for each in curation.recipe.curate.benchmarks:
        yield f"| {each.name} | `{_place(each.source)}` | {counted[each.name]:,} |"
    yield ""


def _model(recipe: CurateRecipe) -> Iterator[str]:
    judge, solve, model = recipe.curate.judge, recipe.curate.solve, _place(recipe.model.path)
    if recipe.curate.asks_model:
        yield "## Model"
        yield ""
    if judge.ask:
        yield f"`{model}` judged each problem, at temperature {judge.temperature:g}."
        yield ""
    if solve.samples:
        tokens = solve.max_tokens or recipe.sampler.max_tokens
        yield (
            f"`{model}` solved each problem {solve.samples} times, at temperature "
            f"{solve.temperature:g}, top-p {solve.top_p:g}, with at most {tokens:,} tokens."
        )
        yield ""
        yield "![pass rates](difficulty.png)"
        yield ""


def _place(text: str) -> str:
    """Of a path on this machine its last name alone; what else there is as it stands."""
    return Path(text).name if text.startswith(("/", "~")) else text


def _public(value: Any) -> Any:
    """The value without paths of this machine, wherever in it."""
    if isinstance(value, Mapping):
        return {key: _public(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_public(each) for each in value]
    return _place(value) if isinstance(value, str) else value


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
