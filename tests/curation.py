"""Recipes and files for curations in tests."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openrs_core.recipe.curate import CurateRecipe
from services.curator.candidates import Candidate
from tests.planted_problems import Planted


def written(path: Path, rows: Iterable[Planted], **names: str) -> str:
    """The rows as a file; `names` renames columns. Its path."""
    columns = [(key, names.get(key, key)) for key in ("id", "problem", "answer")]
    lines = (json.dumps({new: getattr(row, key) for key, new in columns}) for row in rows)
    path.write_text("".join(line + "\n" for line in lines))
    return str(path)


def a_recipe(*sources: dict[str, Any], **curate: Any) -> CurateRecipe:
    """Of these sources, without benchmarks unless they are named."""
    return CurateRecipe.model_validate(
        {
            "name": "curated",
            "model": {"path": "toy", "dtype": "float32"},
            "sampler": {"max_tokens": 64, "max_sequences": 8},
            "curate": {"sources": sources, **curate},
        }
    )


def a_candidate(number: int, source: str = "all", problem: str = "") -> Candidate:
    text = problem or f"What is {number}+{number}?"
    return Candidate(f"{source}/{number}", source, number, text, str(2 * number))
