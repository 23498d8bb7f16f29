r"""The boxes of a text: what stands in `\boxed{…}`, and in `\boxed` without braces.

A completion puts its answer there, and a solution of a data set its reference. Pure, and linear in
the length of the text, whatever is in it.
"""

import re

LONGEST = 2000
"""Characters of a box that are looked at; beyond, it is no answer but an attack."""

MOST = 64
"""Boxes of one text that are looked at, from its end."""

_NAME = "\\boxed"
_START = re.compile(r"\\boxed(?:\s{0,9}\{|\s{1,9}(?=[^\s{]))")
_BLANK = re.compile(r"[\s$]|[.,;:](?=\s|$)")


def last_box(text: str) -> str | None:
    r"""The content of the last box; None when there is none, or it is empty, too long or open.

    Example:
        last_box(r"\boxed{3} is wrong, so \boxed{\frac{1}{2}}")  # r"\frac{1}{2}"
    """
    starts = _starts(text, 1)
    return _content(text, starts[0]) if starts else None


def boxes(text: str) -> list[str]:
    """The contents of the boxes in their order, without those that `last_box` would not take.

    Of nested boxes the innermost counts.
    """
    found: list[str] = []
    reached = 0
    for start in _starts(text, MOST):
        if content := _content(text, start):
            if start.start() < reached:
                found.pop()
            found.append(content)
            reached = start.end() + len(content)
    return found


def _starts(text: str, most: int) -> list[re.Match[str]]:
    """The last boxes that are begun; found from the end, since a text may begin a million."""
    found: list[re.Match[str]] = []
    end = len(text)
    while len(found) < most and (at := text.rfind(_NAME, 0, end)) >= 0:
        end = at
        if start := _START.match(text, at):
            found.append(start)
    return found[::-1]


def _content(text: str, start: re.Match[str]) -> str | None:
    piece = text[start.end() : start.end() + LONGEST + 1]
    end = _closing(piece) if start[0].endswith("{") else _blank(piece)
    if end is None or end > LONGEST:
        return None
    return piece[:end].strip() or None


def _blank(piece: str) -> int:
    """Where a box without braces ends."""
    found = _BLANK.search(piece)
    return found.start() if found else len(piece)


def _closing(piece: str) -> int | None:
    """Where the brace stands that closes the box; None when none does."""
    depth, escaped = 1, False
    for index, character in enumerate(piece):
        if not escaped:
            depth += (character == "{") - (character == "}")
        if depth == 0:
            return index
        escaped = character == "\\" and not escaped
    return None
