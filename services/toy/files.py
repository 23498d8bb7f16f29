"""`openrs toy`: the embedded model and its problems as ordinary files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe.ring import RingRecipe
from services.toy.cache import ensure_toy
from services.toy.task import PROBLEMS, take


def write_toy(directory: Path, seed: int) -> Iterator[str]:
    """Write `model/`, `train.jsonl` and `held_out.jsonl`; yields a line for each.

    Raises:
        RunError: the directory exists.
    """
    if directory.exists():
        raise RunError(f"directory {directory} exists; give one that does not")
    recipe = RingRecipe.model_validate({"name": "toy", "seed": seed, "model": {"path": "toy"}})
    source = ensure_toy(recipe)
    directory.mkdir(parents=True)
    shutil.copytree(source, directory / "model")
    yield f"{directory / 'model'}: the model before reinforcement learning"
    for split, count in PROBLEMS.items():
        path = directory / f"{split}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for chain in take(split, recipe.toy.terms, seed, count):
                row = {"id": chain.expression, "problem": chain.problem, "answer": chain.answer}
                file.write(json.dumps(row) + "\n")
        yield f"{path}: {count} problems"
