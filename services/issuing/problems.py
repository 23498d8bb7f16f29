"""The problems of a run, rendered when they are asked for, in a seeded order.

The order is a function of (seed, position): position p is place p mod n of the shuffle of epoch
p div n. So a data cursor is one number, and a resumed run asks for the same next prompts.
"""

import logging
import random
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from openrs_core.errors import RunError
from openrs_core.recipe.ring import RingRecipe
from openrs_core.recipe.training import TrainingRecipe
from services.issuing.progress import reported
from services.issuing.references import read_answers
from services.issuing.rendering import Renderer, Tokenizer
from services.issuing.rows import LeftOut, Row, listed, usable
from services.issuing.sources import Named, read_rows

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, ready to be issued."""

    prompt_id: str
    text: str
    token_ids: tuple[int, ...]  # [P]
    answer: str
    thought_open: bool = False
    """Does the rendered prompt end inside a thought?"""


class Indexed(Protocol):
    """Problems in the data set's order, made when they are asked for."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Problem:
        """One of them."""


class Problems:
    """Problems, and the order they are issued in."""

    def __init__(self, problems: Indexed, seed: int, *, too_long: int = 0) -> None:
        """`too_long`: how many more there are, whose prompts are too long."""
        self._problems, self._seed, self.too_long = problems, seed, too_long
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __len__(self) -> int:
        return len(self._problems)

    def first(self, count: int) -> list[Problem]:
        """The first `count`, in the data set's order."""
        return [self._problems[index] for index in range(min(count, len(self)))]

    def at(self, position: int) -> Problem:
        """The problem at a place of the endless, epoch-wise shuffled order."""
        epoch, place = divmod(position, len(self))
        return self._problems[self._order(epoch)[place]]

    def _shuffled(self, epoch: int) -> list[int]:
        order = list(range(len(self)))
        random.Random(f"{self._seed}/{epoch}").shuffle(order)
        return order


@dataclass(frozen=True, slots=True)
class Data:
    """The problems of a training run."""

    train: Problems
    held_out: dict[str, Problems]
    """By the name of the set that is evaluated."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rows as problems, each rendered when it is asked for."""

    rows: list[Row]
    renderer: Renderer
    too_long: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Problem:
        row = self.rows[index]
        tokens = self.renderer.tokens(row.problem)
        return Problem(row.prompt_id, row.problem, tokens, row.answer, self.renderer.thought_open)


def load_data(recipe: TrainingRecipe, tokenizer: Tokenizer) -> Data:
    """Read the problems that are trained on, and those that are held out.

    Raises:
        RunError: a source is missing or damaged, or holds nothing that can be used, or a row that
            cannot where rows are checked strictly; or both hold the same problem.
    """
    data, renderer = recipe.data, Renderer(recipe.data, tokenizer)
    trained = Named(key="data.train", text=data.train, split="train", data=data)
    train = read_problems(trained, recipe, renderer)
    read: dict[str, Problems] = {}
    for number, each in enumerate(recipe.evaluated):
        if each.source not in read:
            is_shared = each.source == data.held_out
            key = "data.held_out" if is_shared else f"evaluation.sets.{number}.source"
            apart = Named(key=key, text=each.source, split="held_out", data=data)
            found = read_problems(apart, recipe, renderer)
            _refuse_shared(trained, train.rows, apart, found.rows)
            read[each.source] = Problems(found, recipe.seed, too_long=found.too_long)
    held_out = {each.name: read[each.source] for each in recipe.evaluated}
    _say_what_is_asked(recipe, held_out)
    return Data(Problems(train, recipe.seed, too_long=train.too_long), held_out)


def _say_what_is_asked(recipe: TrainingRecipe, held_out: dict[str, Problems]) -> None:
    """An accuracy is of the problems that are asked: say which are not."""
    for each in recipe.evaluated:
        there = held_out[each.name]
        if there.too_long or len(there) < each.problems:
            logger.warning(
                "the set %r is evaluated on %d problems (%d were asked for): %d of its source are "
                "left out, as their prompts have more tokens than data.max_prompt_tokens = %d",
                each.name, min(each.problems, len(there)), each.problems, there.too_long,
                recipe.data.max_prompt_tokens,
            )  # fmt: skip


def read_problems(named: Named, recipe: RingRecipe, renderer: Renderer) -> Rendered:
    """The problems of a source that can be verified and whose prompts are short enough.

    Raises:
        RunError: it is missing or damaged, or holds nothing that can be used, or a row that cannot
            where rows are checked strictly.
    """
    begun = time.monotonic()
    left_out = LeftOut(str(named), strict=named.data.strict)
    numbered = reported(read_rows(named, recipe), f"reading {named.key}")
    rows = _verifiable(list(usable(numbered, named.data, left_out)), left_out)
    if left_out:
        logger.warning("%s: rows that cannot be used are left out: %s", named, left_out)
    measured = reported(rows, f"measuring {named.key}", len(rows))
    short = [row for row in measured if not renderer.is_too_long(row.problem)]
    if not short:
        raise RunError(f"{named}: it holds no problem that can be used{_why(rows, left_out)}")
    too_long = len(rows) - len(short)
    logger.info(
        "%s: %d problems after %.1f s; left out: %d whose prompts have more tokens than "
        "data.max_prompt_tokens = %d, %d that cannot be used",
        named, len(short), time.monotonic() - begun, too_long, recipe.data.max_prompt_tokens,
        len(left_out),
    )  # fmt: skip
    return Rendered(short, renderer, too_long)


def _verifiable(rows: list[Row], left_out: LeftOut) -> list[Row]:
    """The rows against whose answer something can be verified."""
    found = read_answers((row.answer for row in rows), every=left_out.strict)
    texts = [row.number for row in rows if row.answer in found.texts]
    if texts:
        logger.info(
            "%s: %d answers hold no expression that math-verify knows, only the same text is right "
            "(%s)", left_out.where, len(texts), listed(texts),
        )  # fmt: skip
    for row in rows:
        if fault := found.unreadable.get(row.answer):
            left_out.add(row.number, fault)
    return [row for row in rows if row.answer not in found.unreadable]


def _why(rows: list[Row], left_out: LeftOut) -> str:
    if rows:
        return f": all {len(rows)} prompts have more tokens than data.max_prompt_tokens; raise it"
    return f": {left_out}" if left_out else "; it is empty"


def _refuse_shared(trained: Named, train: list[Row], apart: Named, held_out: list[Row]) -> None:
    """Raise RunError where a problem is on both sides, but for case and white space."""
    there = {_plain(row.problem): row.number for row in held_out}
    shared = [(row.number, found) for row in train if (found := there.get(_plain(row.problem)))]
    if shared:
        raise RunError(
            f"{apart}: {len({n for _, n in shared})} of its problems "
            f"({listed([n for _, n in shared])}) are trained on too: "
            f"{listed([n for n, _ in shared])} of {trained.key} = {trained.text!r}; remove them "
            "from one of the two"
        )


def _plain(problem: str) -> str:
    return " ".join(problem.split()).casefold()
