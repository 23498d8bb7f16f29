r"""The elements of an answer as they are written: `2,3` has two, `1,000` and `(2,3)` have one.

Pure, and linear in the length of the text.
"""

import re

_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,|\{,\})\d{3})+(?!,?\d)")
_AND = re.compile(r"\\(?:text|mathrm)\{\s{0,9}(?:and|or)\s{0,9}\}")
_BRACKETS = re.compile(r"\\(?:left|right)(?![A-Za-z])|\\(?=[{}])")
_OPEN, _CLOSE = "([{", ")]}"


def elements(text: str) -> list[str]:
    r"""What stands between the commas outside of brackets; of a set, between those inside.

    Example:
        elements(r"\{1, (2,3)\}")  # ["1", "(2,3)"]
    """
    text = _THOUSANDS.sub(_joined, _AND.sub(",", text))
    is_set = re.match(r"\s{0,9}(?:\\left\s{0,9})?\\\{", text) is not None
    text = _BRACKETS.sub("", text).strip()
    return _split(text[1:-1] if is_set and text.endswith("}") else text)


def _joined(number: re.Match[str]) -> str:
    return re.sub(r"\D", "", number[0])


def _split(text: str) -> list[str]:
    found, depth, begun = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        if character == "," and depth == 0:
            found.append(text[begun:index].strip())
            begun = index + 1
    return [*found, text[begun:].strip()]
