r"""Whether an answer is a formula copied from the problem.

Boxing a formula of the problem would otherwise be right wherever the problem asks for its value:
`\frac{24}{36}` is equal to `\frac{2}{3}`. Pure, and linear in the lengths of the texts.
"""

import re
from functools import lru_cache

from services.scorer.number import UNITS

_FRACTION = re.compile(
    r"\\[dt]?frac\s{0,9}(?:\{([^{}]*)\}\s{0,9}\{([^{}]*)\}|(\d)\s{0,9}(\d))|\\[dt]frac(?=\W)"
)
_DROPPED = re.compile(r"\\(?:left|right|displaystyle)(?![A-Za-z])|\\[,;:!()\[\] ]|[\s~{}]")

_NAMES = (
    "times|cdot|div|pm|mp|frac|sqrt|d?binom|log|lg|ln|exp|(?:arc)?(?:sin|cos|tan|cot)h?|sec|csc|"
    "lfloor|lceil|lvert|gcd|lcm|max|min|det|sum|prod|i*int|lim|[bp]?mod|operatorname|choose|%"
)
_OPERATION = re.compile(rf"[/^!*|\u00d7\u00f7\u00b7\u2212%]|\w[-+]|[)\]][-+]|\\(?:{_NAMES})")


def is_copied(answer: str, problem: str, reference: str) -> bool:
    """Is the answer, or what stands after its last `=`, a calculation that stands in the problem?

    What is written as the reference is written is no copy, but for blanks, braces and the form of a
    fraction.
    """
    asked, expected = _bare_problem(problem), _bare(reference)
    if "=" in answer and _is_calculation_in(asked, whole := _bare(answer)) and whole != expected:
        return True
    side = _bare(_last_side(answer))
    written = {expected, _bare(_last_side(reference))}
    return _is_calculation_in(asked, side) and side not in written


def _is_calculation_in(asked: str, text: str) -> bool:
    return text in asked and _OPERATION.search(text) is not None


def _last_side(text: str) -> str:
    return text.rpartition("=")[2]


def _bare(text: str) -> str:
    return _DROPPED.sub("", _FRACTION.sub(_in_line, UNITS.sub("", text)))


@lru_cache(maxsize=64)
def _bare_problem(problem: str) -> str:
    return _bare(problem)


def _in_line(fraction: re.Match[str]) -> str:
    if fraction[1] is not None:
        return f"{fraction[1]}/{fraction[2]}"
    return f"{fraction[3]}/{fraction[4]}" if fraction[3] else "\\frac"
