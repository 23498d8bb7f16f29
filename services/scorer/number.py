r"""Whether a number stands there evaluated, or as a calculation that only has its value.

math-verify finds the question `8+9-4-6` equal to 7, and `\frac{240}{2}` to 120: where the reference
is a number, the answer must be one too. Pure, and linear in the length of the text.
"""

import re

from services.scorer.elements import elements

UNITS = re.compile(
    r"\\?\$|\^\s{0,9}(?:\{\s{0,9}\\circ\s{0,9}\}|\\circ)"
    r"|\\(?:text|textrm|mathrm|mbox)\{[^{}]*\}(?:\s{0,9}\^\s{0,9}(?:\d|\{-?\d{1,2}\}))?"
)
"""Dollars, degrees, and words in Roman type with their exponents."""

_WRAPPED = re.compile(r"\\(?:text|textbf|mathbf|mathrm|bf)\{([^{}]*)\}")
_BLANK = re.compile(r"\\(?:left|right|quad|qquad)(?![A-Za-z])|\\[,;:! ]|[\s~]")
_FRACTION = re.compile(r"\\[dt]?frac\{([-+]?\d+)\}\{([-+]?\d+)\}|\\[dt]?frac(\d)(\d)")

_DECIMAL = r"(?:\d+(?:\.\d*)?|\.\d+)"
_POWER_OF_TEN = r"10\^(?:\d|\{[-+]?\d+\})"
_TAIL = r"(?:\\?%|percent|\\[lc]?dots|_(?:\d|\{\d+\})|degrees?)?"
_TIMES = r"(?:\\times|\\cdot|\*|\u00d7|\u00b7)"
_PLAIN = re.compile(rf"[-+]?(?:{_DECIMAL}(?:{_TIMES}{_POWER_OF_TEN})?|{_POWER_OF_TEN}){_TAIL}")
_SCIENTIFIC = re.compile(rf"([-+]?{_DECIMAL}){_TIMES}10\^(?:(\d)|\{{([-+]?\d{{1,9}})\}})")
_RATIO = re.compile(rf"([-+]?)(\d*)<([-+]?\d+)[/:]([-+]?\d+)>{_TAIL}|[-+]?(\d+)[/:](\d+){_TAIL}")


def are_numbers(text: str) -> bool:
    """Is it an evaluated number, or a list, a set, a tuple or an interval of such?"""
    bare = _BLANK.sub("", text)
    if bare[:1] in ("(", "[") and bare[-1:] in (")", "]"):
        bare = bare[1:-1]
    return all(is_number(each) for each in elements(bare))


def is_number(text: str) -> bool:
    r"""Is it an evaluated number, alone or after the last `=`?

    An integer, a decimal, a fraction of integers whose value is none, a mixed number, or a multiple
    of a power of ten; with a sign, a unit, a percent sign or the base it is written in.

    Example:
        is_number(r"x = 4.8\times 10^{4}\text{ m}^2")  # True
        is_number(r"\frac{240}{2}")  # False
    """
    wrapped = _WRAPPED.fullmatch(text.strip())
    shown = (wrapped[1] if wrapped else text).rpartition("=")[2]
    bare = _BLANK.sub("", UNITS.sub("", shown)).replace("{,}", ",")
    bare = _FRACTION.sub(_bracketed, re.sub(r",(?=\d{3}(?:\D|$))", "", bare))
    if ratio := _RATIO.fullmatch(bare):
        return _is_proper(ratio)
    return _PLAIN.fullmatch(bare) is not None


def scientific(text: str) -> str | None:
    r"""A decimal times a power of ten in the form of Python; None when it is something else.

    Example:
        scientific(r"4.8 \times 10^{-4}")  # "4.8e-4"
    """
    found = _SCIENTIFIC.fullmatch(_BLANK.sub("", text))
    return f"{found[1]}e{found[2] or found[3]}" if found else None


def _bracketed(fraction: re.Match[str]) -> str:
    over, under = (fraction[1], fraction[2]) if fraction[1] else (fraction[3], fraction[4])
    return f"<{over}/{under}>"


def _is_proper(ratio: re.Match[str]) -> bool:
    """Has a fraction no integer as its value, and a mixed number a part below one?"""
    over, under = (ratio[3], ratio[4]) if ratio[3] else (ratio[5], ratio[6])
    if max(len(over), len(under)) > 4000 or int(under) == 0:
        return False
    mixed = bool(ratio[2])
    return abs(int(over)) < abs(int(under)) if mixed else int(over) % int(under) != 0
