"""Word problems in small whole numbers: a made data set, equal for equal seeds.

Two splits, `train` and `held_out`. A problem is a story with its numbers filled in; which split it
is of follows from the story and the numbers, by a checksum, whatever names and things it is told
with. So no sum of a story is in both, told differently or not. The stories themselves are shared:
what is held out is new sums, not a new kind of story.
"""

import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

Split = Literal["train", "held_out"]

Kind = Literal["sum", "difference", "product", "two"]
"""Of operation; `two`: two operations, one after the other."""

HELD_OUT_OF = 5
"""One in so many sums is held out."""

NAMES = (
    ("Anna", "She"), ("Ben", "He"), ("Clara", "She"), ("David", "He"), ("Emma", "She"),
    ("Frank", "He"), ("Grace", "She"), ("Henry", "He"), ("Julia", "She"), ("Leo", "He"),
    ("Maria", "She"), ("Noah", "He"), ("Olivia", "She"), ("Paul", "He"), ("Rosa", "She"),
    ("Sam", "He"),
)  # fmt: skip
THINGS = (
    "apples", "books", "buttons", "cards", "coins", "cookies", "eggs", "flowers", "keys",
    "lemons", "marbles", "pears", "pencils", "shells", "stamps", "stickers",
)  # fmt: skip


Numbers = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Story:
    """A kind of problem: its text, the numbers it can have, and what is asked for."""

    text: str
    """With {name}, {pronoun}, {friend}, {things} and the numbers {a}, {b}, {c}."""
    answer: Callable[[int, int, int], int]
    numbers: Callable[[random.Random], Numbers]
    """Drawn so that every result on the way is above 0."""
    kind: Kind


def _added(draw: random.Random) -> Numbers:
    return draw.randint(2, 10), draw.randint(2, 10), draw.randint(2, 3)


def _taken(draw: random.Random) -> Numbers:
    first = draw.randint(6, 12)
    second = draw.randint(2, first - 3)
    return first, second, draw.randint(1, first - second - 1)


def _times(draw: random.Random) -> Numbers:
    return draw.randint(2, 9), draw.randint(2, 9), draw.randint(2, 9)


_SUM, _REST, _PRODUCT = (
    (lambda a, b, _: a + b, _added, "sum"),
    (lambda a, b, _: a - b, _taken, "difference"),
    (lambda a, b, _: a * b, _times, "product"),
)
_NOW, _LEFT = (
    " How many {things} does {name} have now?",
    " How many {things} does {name} have left?",
)

STORIES = (
    Story("{name} has {a} {things}. {pronoun} buys {b} more." + _NOW, *_SUM),
    Story("{name} finds {a} {things} and then {b} more." + _NOW, *_SUM),
    Story("{name} has {a} {things} and {friend} has {b}. How many {things} do they have together?",
          *_SUM),
    Story("{name} has {a} {things}. {friend} has {b} more than {name}. How many {things} does "
          "{friend} have?", *_SUM),
    Story("There are {a} {things} on the table. {name} puts {b} more on it. How many {things} are "
          "on the table now?", *_SUM),
    Story("{name} has {a} {things}. {pronoun} gives {b} to {friend}." + _LEFT, *_REST),
    Story("{name} has {a} {things}. {pronoun} loses {b} of them." + _LEFT, *_REST),
    Story("{name} needs {a} {things} and has {b}. How many more {things} does {name} need?",
          *_REST),
    Story("{name} has {a} {things}. {b} of them are red. How many {things} are not red?", *_REST),
    Story("{name} has {a} {things}. {friend} has {b} fewer than {name}. How many {things} does "
          "{friend} have?", *_REST),
    Story("{name} has {a} boxes with {b} {things} in each. How many {things} does {name} have?",
          *_PRODUCT),
    Story("{name} buys {b} {things} every day. How many {things} does {name} buy in {a} days?",
          *_PRODUCT),
    Story("Each bag holds {b} {things}. How many {things} are in {a} bags?", *_PRODUCT),
    Story("{a} friends have {b} {things} each. How many {things} do they have together?",
          *_PRODUCT),
    Story("{name} has {a} {things}. {pronoun} finds {b} more and gives {c} to {friend}." + _NOW,
          lambda a, b, c: a + b - c, _added, "two"),
    Story("{name} has {a} {things}. {pronoun} loses {b} and gives {c} to {friend}." + _LEFT,
          lambda a, b, c: a - b - c, _taken, "two"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WordProblem:
    """One problem and its answer."""

    story: int
    problem: str
    answer: str

    @property
    def kind(self) -> Kind:
        """Of operation."""
        return STORIES[self.story].kind


def problems(split: Split, seed: int) -> Iterator[WordProblem]:
    """Endless, no text twice."""
    draw, told = random.Random(f"{split}/{seed}"), set[str]()
    while True:
        number = draw.randrange(len(STORIES))
        numbers = STORIES[number].numbers(draw)
        if _split(number, numbers) != split:
            continue
        made = _tell(number, numbers, draw)
        if made.problem not in told:
            told.add(made.problem)
            yield made


def write_problems(directory: Path, seed: int, counts: Mapping[Split, int]) -> None:
    """So many of each split, as SPLIT.jsonl with `id`, `problem`, `answer` and `kind`."""
    directory.mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        rows = [
            {"id": f"{split}/{number}", "problem": p.problem, "answer": p.answer, "kind": p.kind}
            for number, p in enumerate(islice(problems(split, seed), count))
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / f"{split}.jsonl").write_text(text)


def _split(story: int, numbers: Numbers) -> Split:
    used = [
        str(n)
        for n, letter in zip(numbers, "abc", strict=True)
        if f"{{{letter}}}" in STORIES[story].text
    ]
    checksum = zlib.crc32(f"{story}:{','.join(used)}".encode())
    return "held_out" if checksum % HELD_OUT_OF == 0 else "train"


def _tell(number: int, numbers: Numbers, draw: random.Random) -> WordProblem:
    (name, pronoun), (friend, _) = draw.sample(NAMES, 2)
    story, (a, b, c) = STORIES[number], numbers
    text = story.text.format(
        name=name, pronoun=pronoun, friend=friend, things=draw.choice(THINGS), a=a, b=b, c=c
    )
    return WordProblem(number, text, str(story.answer(a, b, c)))
