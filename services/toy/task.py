"""Chain sums: `What is 8+9-4-6?`, every running total at least 0.

One expression in ten is held out, by a checksum of its text, so that neither the warm start nor
the training ever sees it.
"""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

Split = Literal["train", "held_out"]

PROBLEMS: dict[Split, int] = {"train": 8192, "held_out": 1024}
"""How many problems of each split make the data set."""

HELD_OUT_OF = 10
"""One expression in this many is held out."""


@dataclass(frozen=True, slots=True)
class ChainSum:
    """A sum of one-digit terms, added or subtracted from left to right.

    Example:
        ChainSum((8, 9, -4, -6))  # "8+9-4-6", running totals 8, 17, 13, 7
    """

    terms: tuple[int, ...]

    @property
    def expression(self) -> str:
        """`8+9-4-6`"""
        return str(self.terms[0]) + "".join(f"{term:+d}" for term in self.terms[1:])

    @property
    def problem(self) -> str:
        """What the user asks."""
        return f"What is {self.expression}?"

    @property
    def answer(self) -> str:
        """The reference answer."""
        return str(sum(self.terms))

    @property
    def work(self) -> str:
        """One running total per line: `8+9=17`, `17-4=13`, `13-6=7`."""
        total, lines = self.terms[0], []
        for term in self.terms[1:]:
            lines.append(f"{total}{term:+d}={total + term}")
            total += term
        return "\n".join(lines)

    @property
    def split(self) -> Split:
        """Which side of the hold-out this expression is on."""
        return "train" if zlib.crc32(self.expression.encode()) % HELD_OUT_OF else "held_out"

    def demonstration(self, *, careful: bool, boxed: bool) -> str:
        """A true answer: with the work shown or skipped, in a box or not."""
        thought = f"{self.work}\n" if careful else "\n"
        final = f"\\boxed{{{self.answer}}}" if boxed else f"The answer is {self.answer}"
        return f"<think>\n{thought}</think>\n{final}"


def chain_sums(split: Split, terms: int, seed: int) -> Iterator[ChainSum]:
    """An endless stream of problems of one split, in a seeded order; some come again."""
    draw = random.Random(f"{split}/{terms}/{seed}")
    while True:
        total = first = draw.randint(1, 9)
        chain = [first]
        while len(chain) < terms:
            term = draw.choice((-1, 1)) * draw.randint(1, 9)
            if total + term >= 0:
                chain.append(term)
                total += term
        found = ChainSum(tuple(chain))
        if found.split == split:
            yield found


def take(split: Split, terms: int, seed: int, count: int) -> list[ChainSum]:
    """The first `count` different problems of a split; fewer when there are not so many."""
    drawn = islice(chain_sums(split, terms, seed), 20 * count)
    return list(islice(dict.fromkeys(drawn), count))
