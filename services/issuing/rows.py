"""Rows of a data set: what of one is used, and which cannot be.

A row that cannot be used is left out and counted; where the recipe is strict, it ends the run.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from openrs_core.boxed import LONGEST, last_box
from openrs_core.errors import RunError
from openrs_core.recipe.data import PromptSection
from openrs_core.wire.fields import MAX_NAME, MAX_PROBLEM
from services.issuing.sources import Columns, Numbered, Unreadable

BOX = "\\boxed"

NAMED = 3
"""Rows that are named of those with the same fault."""

MOST_REASONS = 5
"""Faults that are named."""


@dataclass(frozen=True, slots=True)
class Row:
    """What of a row is used."""

    number: int
    prompt_id: str
    problem: str
    answer: str


class LeftOut:
    """The rows that cannot be used, and why."""

    def __init__(self, where: str, *, strict: bool = False) -> None:
        """`where`: what the lines begin with, `data.train is 'x.jsonl'`."""
        self.where, self.strict = where, strict
        self._rows: dict[str, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def add(self, number: int, reason: str) -> None:
        """Leave out a row.

        Raises:
            RunError: rows are checked strictly.
        """
        if self.strict:
            raise RunError(
                f"{self.where}: row {number}: {reason}; mend it, or leave such rows out "
                "(data.strict = false)"
            )
        self._rows[reason].append(number)

    @property
    def reasons(self) -> dict[str, list[int]]:
        """The numbers of the rows, by reason, as they were met."""
        return dict(self._rows)

    def __str__(self) -> str:
        """How many, which, and why: `2: there is no answer (rows 3, 17)`."""
        most = sorted(self._rows.items(), key=lambda item: -len(item[1]))[:MOST_REASONS]
        return "; ".join(f"{len(rows)}: {why} ({listed(rows)})" for why, rows in most)


def listed(rows: list[int]) -> str:
    """The first of them: `rows 3, 17, 20 and 4 more`."""
    first = ", ".join(map(str, rows[:NAMED]))
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"row{'s' if len(rows) > 1 else ''} {first}{more}"


def usable(
    rows: Iterable[Numbered], data: PromptSection, left_out: LeftOut, section: str = "data"
) -> Iterator[Row]:
    """The rows that hold a problem and an answer; the others are left out.

    `section`: where a recipe names the columns.
    """
    for number, columns in rows:
        if isinstance(columns, Unreadable):
            found: Row | str = columns.reason
        else:
            found = _row(number, columns, data, section)
        if isinstance(found, Row):
            yield found
        else:
            left_out.add(number, found)


def _row(number: int, columns: Columns, data: PromptSection, section: str) -> Row | str:
    """The row, or why it cannot be used."""
    for key, field in (("problem_field", data.problem_field), ("answer_field", data.answer_field)):
        if field not in columns:
            there = ", ".join(map(str, columns))[:200]
            return f"there is no column {field!r} (there are: {there}; set {section}.{key})"
    problem = _text(columns[data.problem_field])
    answer = _reference(_text(columns[data.answer_field]))
    fault = _fault("problem", problem, MAX_PROBLEM) or _fault("answer", answer, LONGEST)
    if fault or problem is None or answer is None:
        return fault
    if last_box(f"{BOX}{{{answer}}}") != answer:  # the scorer takes answers from boxes
        return "its answer has a brace too many or too few"
    return Row(number, _text(columns.get("id"), MAX_NAME) or str(number), problem, answer)


def _reference(text: str | None) -> str | None:
    """The reference answer: of a worked solution the last box; nothing, where that is open."""
    if text is not None and BOX in text:
        text = last_box(text) or ""
    return text.strip() if text is not None else None


def _fault(what: str, text: str | None, most: int) -> str:
    """What is wrong with a text; empty: nothing."""
    if text is None:
        return f"its {what} is no text"
    if not text.strip():
        return f"it has no {what}"
    return f"its {what} has more than {most} characters" if len(text) > most else ""


def _text(value: Any, most: int | None = None) -> str | None:
    """A text or a number, as UTF-8 can write it: JSON may hold lone surrogates, messages may not.

    Null, NaN, and what is longer than `most`, is an empty text; all else is none.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    text = str(value)
    if most is not None and len(text) > most:
        return ""
    return text if text.isascii() else text.encode(errors="replace").decode()
