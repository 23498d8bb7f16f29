"""Copies of problems as they turn up in data sets: retyped, renumbered, lightly reworded.

Every change is drawn from a seed. Reworded means: of its words of letters about one in eight
is another or is gone, and a sentence may stand before or behind it.
"""

import random
import re
from collections.abc import Callable

SYNONYMS = {
    "find": "determine", "determine": "find", "compute": "calculate", "calculate": "compute",
    "evaluate": "compute", "let": "suppose", "suppose": "assume", "given": "known",
    "positive": "strictly positive", "integer": "whole number", "integers": "whole numbers",
    "value": "result", "number": "count", "numbers": "values", "what": "which",
    "how": "exactly how",
    "maximum": "greatest", "minimum": "least", "largest": "greatest", "smallest": "least",
    "such": "so", "are": "were", "is": "equals", "each": "every", "every": "each", "all": "all the",
    "if": "when", "when": "if", "and": "as well as", "then": "so", "has": "possesses",
    "sum": "total", "length": "size", "point": "dot", "points": "dots", "line": "straight line",
    "equal": "identical", "express": "give", "answer": "result", "the": "this", "a": "one",
    "that": "which", "with": "having", "where": "in which", "for": "given", "there": "here",
    "real": "real-valued", "exactly": "precisely", "different": "distinct",
    "distinct": "different",
    "solve": "work out", "area": "surface", "person": "man", "people": "persons",
    "walks": "strolls",
    "to": "towards", "of": "from", "in": "within", "on": "upon", "by": "through",
}  # fmt: skip
"""What a person may put for a word; not always as good, always something else."""

BEFORE = (
    "Solve the following problem. ", "Problem 12. ", "(Contest, 2023) ",
    "Consider this question carefully: ", "",
)  # fmt: skip
BEHIND = (
    " Give your answer in simplest form.", " Put the final answer in a box.", " Explain.", "",
    " Write your answer as a single number.",
)  # fmt: skip

_WORD = re.compile(r"(?<![\\a-zA-Z])[A-Za-z]{1,}(?![a-zA-Z])")
_NUMBER = re.compile(r"\d+")
_FORMULA = re.compile(
    r"(\$\$.+?\$\$|\$.+?\$|\\\[.+?\\\]|\\\(.+?\\\)|\[asy\].*?\[/asy\])", re.DOTALL
)

REWORDED_SHARE = 0.125
DROPPED_SHARE = 0.03


def retyped(problem: str, seed: object) -> str:
    """The same problem as another hand would type it: spaces, case, spellings of LaTeX."""
    drawn = random.Random(f"retyped/{seed}")
    changes: list[Callable[[str], str]] = [
        str.upper if "\\" not in problem and "$" not in problem else str,
        lambda text: text.replace("\\frac", "\\dfrac"),
        lambda text: re.sub(r"\\(?:left|right)(?![a-z])", "", text),
        lambda text: re.sub(r"\\([lg])eq(?![a-z])", r"\\\1e", text),
        lambda text: text.replace(" ", "  ").replace("\n", " "),
        lambda text: re.sub(r"\$\$?", lambda _: "$", text),
        lambda text: re.sub(r"\\cdot(?![a-z])", r"\\times", text),
        lambda text: text.rstrip(". ") + " .",
        lambda text: text.replace("^2", "^{2}").replace("+", " + "),
    ]
    for change in drawn.sample(changes, 5):
        problem = change(problem)
    return problem


def renumbered(problem: str, seed: object) -> str:
    """The same words, other numbers of as many digits."""
    drawn = random.Random(f"renumbered/{seed}")

    def other(found: re.Match[str]) -> str:
        digits = len(found[0])
        least = 1 if digits == 1 else 10 ** (digits - 1)
        return str(drawn.randrange(least, 10**digits))

    return _NUMBER.sub(other, problem)


def reworded(problem: str, seed: object) -> str:
    """The same problem in words that differ here and there; formulas stay."""
    drawn = random.Random(f"reworded/{seed}")

    def other(found: re.Match[str]) -> str:
        word, chance = found[0], drawn.random()
        if chance < DROPPED_SHARE:
            return ""
        if chance < DROPPED_SHARE + REWORDED_SHARE:
            new = SYNONYMS.get(word.lower(), "certain " + word)
            return new.capitalize() if word[0].isupper() else new
        return word

    parts = _FORMULA.split(problem)
    parts[::2] = [_WORD.sub(other, part) for part in parts[::2]]
    return drawn.choice(BEFORE) + "".join(parts) + drawn.choice(BEHIND)


def both(problem: str, seed: object) -> str:
    """Reworded and renumbered."""
    return renumbered(reworded(problem, seed), seed)
