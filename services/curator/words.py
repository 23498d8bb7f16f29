r"""Texts of problems as words, so that two spellings of one problem are the same.

What only lays out a formula (`\left`, `\displaystyle`, `$`, braces, spaces) is no word; a command,
a letter sequence, a number and an operator each is one. Punctuation is none, drawings
(`[asy] … [/asy]`) are none.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

Runs = Counter[tuple[str, ...]]

NUMBER = "#"
"""Stands for any number."""

_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
_LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|quad|qquad|hspace|vspace|phantom"
    r"|text|textrm|textbf|textit|mathrm|mathbf|mathit|mathsf|operatorname|mbox|hbox|rm|bf|it)"
    r"(?![a-zA-Z])\*?|\\[ ,;:!\\]|~"
)
_SAME = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom",
    r"\tbinom": r"\binom", r"\leq": r"\le", r"\leqslant": r"\le", r"\geq": r"\ge",
    r"\geqslant": r"\ge", r"\neq": r"\ne", r"\times": r"\cdot", "*": r"\cdot", r"\lbrace": r"\{",
    r"\rbrace": r"\}", r"\ldots": r"\dots", r"\cdots": r"\dots", "...": r"\dots",
    r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\lvert": "|", r"\rvert": "|",
    r"\mid": "|", r"\vert": "|", r"\land": r"\wedge",
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "twenty": "20", "thirty": "30",
    "hundred": "100",
}  # fmt: skip
_SIGNS = {
    0xD7: r"\cdot ", 0xB7: r"\cdot ", 0xF7: r"\div ", 0xB0: r"\circ ", 0xB2: "^2", 0xB3: "^3",
    0x2264: r"\le ", 0x2265: r"\ge ", 0x2260: r"\ne ", 0x2212: "-", 0x2013: "-", 0x221A: r"\sqrt ",
    0x221E: r"\infty ", 0x2220: r"\angle ", 0x25B3: r"\triangle ", 0x3C0: r"\pi ", 0x2026: "...",
}  # fmt: skip
"""Signs that are written as commands, by their numbers in Unicode."""
_DIGITS = re.compile(r"(\\[dtc]?frac|\\sqrt)\s?(\d)(?=\d|\{)")
"""`\\frac12` and `\\frac1{2}` take one digit each."""
_WORD = re.compile(
    r"\\[a-zA-Z]+|\\[{}|%]|\d+(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?|[^\W\d_]+|\.{3}|[-+=<>|/*!^_%]"
)


def words(text: str) -> list[str]:
    r"""The words of a text, in their order.

    Example:
        words(r"Find $\dfrac{1}{2}$ of  12,000.")  # ["find", r"\frac", "1", "2", "of", "12000"]
    """
    text = unicodedata.normalize("NFKC", _DRAWING.sub(" ", text).translate(_SIGNS)).casefold()
    text = _DIGITS.sub(r"\1 \2 ", _LAYOUT.sub(" ", text))
    return [_spelling(word) for word in _WORD.findall(text)]


def masked(words: Sequence[str]) -> list[str]:
    """The words with every number, in digits or spelled, as the same one."""
    return [NUMBER if word[0].isdigit() else word for word in words]


def runs(words: Sequence[str], size: int) -> Runs:
    """The runs of so many words, and how often each is there; all as one where there are fewer."""
    if len(words) <= size:
        return Counter([tuple(words)] if words else [])
    return Counter(zip(*(words[start:] for start in range(size)), strict=False))


def _spelling(word: str) -> str:
    return word.replace(",", "") if word[0].isdigit() else _SAME.get(word, word)
