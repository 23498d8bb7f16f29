"""The problems of a run, rendered once into tokens, in a seeded order.

The order is a function of (seed, position): position p is place p mod n of the shuffle of epoch
p div n. So a data cursor is one number, and a resumed run asks for the same next prompts.
"""

import json
import logging
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from openrs_core.errors import RunError
from openrs_core.recipe.data import DataSection
from openrs_core.recipe.ring import RingRecipe
from openrs_core.wire.fields import MAX_ANSWER, MAX_NAME, MAX_PROBLEM
from services.toy.task import PROBLEMS, Split, take

logger = logging.getLogger(__name__)


class Tokenizer(Protocol):
    """What of a tokenizer is used here."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Messages -> token ids."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, ready to be issued."""

    prompt_id: str
    text: str
    token_ids: tuple[int, ...]  # [P]
    answer: str


class Problems:
    """A list of problems and the order they are issued in."""

    def __init__(self, problems: list[Problem], seed: int) -> None:
        self._problems, self._seed = problems, seed
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __len__(self) -> int:
        return len(self._problems)

    def first(self, count: int) -> list[Problem]:
        """The first `count`, in the file's order."""
        return self._problems[:count]

    def at(self, position: int) -> Problem:
        """The problem at a place of the endless, epoch-wise shuffled order."""
        epoch, place = divmod(position, len(self._problems))
        return self._problems[self._order(epoch)[place]]

    def _shuffled(self, epoch: int) -> list[int]:
        order = list(range(len(self._problems)))
        random.Random(f"{self._seed}/{epoch}").shuffle(order)
        return order


def load_problems(recipe: RingRecipe, split: Split, tokenizer: Tokenizer) -> Problems:
    """The recipe's problems of one split, rendered.

    Raises:
        RunError: the file or data set is missing, empty, or lacks a column.
    """
    source = recipe.data.train if split == "train" else recipe.data.held_out
    rows = list(_rows(recipe, source, split))
    rendered = [_render(row, number, recipe.data, tokenizer) for number, row in enumerate(rows)]
    kept = [
        problem for problem in rendered if len(problem.token_ids) <= recipe.data.max_prompt_tokens
    ]
    if len(kept) < len(rendered):
        logger.info(
            "%s: left out %d of %d problems, longer than data.max_prompt_tokens = %d",
            source, len(rendered) - len(kept), len(rendered), recipe.data.max_prompt_tokens,
        )  # fmt: skip
    if not kept:
        raise RunError(f"data.{split} is {source!r}: it holds no problem that can be used")
    return Problems(kept, recipe.seed)


def _rows(recipe: RingRecipe, source: str, split: Split) -> Iterator[Mapping[str, Any]]:
    if source == "toy":
        for chain in take(split, recipe.toy.terms, recipe.seed, PROBLEMS[split]):
            yield {
                "id": f"chain-sum/{chain.expression}",
                recipe.data.problem_field: chain.problem,
                recipe.data.answer_field: chain.answer,
            }
    elif Path(source).suffix in (".jsonl", ".json"):
        yield from _lines(Path(source).expanduser(), split)
    else:
        yield from _hub(source, split)


def _lines(path: Path, split: Split) -> Iterator[Mapping[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RunError(
            f"data.{split} is {str(path)!r}: {error.strerror}; give a .jsonl file"
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise RunError(f"data.{split}: {path} line {number} is no JSON: {error}") from error


def _hub(source: str, split: Split) -> Iterator[Mapping[str, Any]]:
    """A data set of the Hugging Face hub or its cache: the split `train`, or its only one."""
    from datasets import load_dataset

    try:
        found = load_dataset(source)
    except Exception as error:
        raise RunError(
            f"data.{split} is {source!r}: no such data set on the hub or in the cache ({error}); "
            "give a .jsonl file or a hub id owner/name"
        ) from error
    yield from found["train"] if "train" in found else next(iter(found.values()))


def _render(
    row: Mapping[str, Any], number: int, data: DataSection, tokenizer: Tokenizer
) -> Problem:
    for field in (data.problem_field, data.answer_field):
        if field not in row:
            raise RunError(
                f"data: row {number} has no column {field!r} (it has {', '.join(row)}); "
                "set data.problem_field and data.answer_field"
            )
    prompt_id, answer = _text(row.get("id", number)), _text(row[data.answer_field])
    text = _text(row[data.problem_field])
    limits = [
        ("id", prompt_id, MAX_NAME),
        ("problem", text, MAX_PROBLEM),
        ("answer", answer, MAX_ANSWER),
    ]
    for what, value, most in limits:
        if len(value) > most:
            raise RunError(f"data: row {number}: {what} of {len(value)} characters, at most {most}")
    messages = [{"role": "user", "content": text}]
    if data.system_prompt:
        messages.insert(0, {"role": "system", "content": data.system_prompt})
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return Problem(prompt_id, text, tuple(ids), answer)


def _text(value: Any) -> str:
    """As UTF-8 can write it: JSON may hold lone surrogates, messages may not."""
    return str(value).encode(errors="replace").decode()
