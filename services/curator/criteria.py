r"""What is wrong with a problem as a task whose one answer is verified: rules, without a model.

A rule is a reason and a pattern, looked for in the problem's text. They err on the side of leaving
out: a data set of tens of thousands can spare a good problem more easily than it can bear one
without a single right answer. How many of the six benchmarks each rule would leave out stands in
docs/curation.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from openrs_core.recipe.curate import Rule

REASONS: dict[Rule, str] = {
    "short": "it is too short",
    "long": "it is too long",
    "several_parts": "it has several parts, (a), (b) and so on",
    "several_questions": "it asks several questions",
    "proof": "it asks for a proof",
    "figure": "it refers to a figure",
    "link": "it holds a link",
    "multiple_choice": "it is multiple-choice",
    "not_english": "it is not in English",
    "markup": "it holds markup of a web page, or characters that were lost",
}
"""In the order in which they are tried: of a long text no more is looked at."""

_PARTS = re.compile(
    r"(?:^|(?<=[\s:.,;]))\((?:a|1|i)\)\s.+?\s\((?:b|2|ii)\)\s"
    r"|(?:^|\n)\s*(?:a|1|i)[.)]\s.+?\n\s*(?:b|2|ii)[.)]\s"
    r"|\b[Pp]art (?:a|A|1|I)\b.+?\b[Pp]art (?:b|B|2|II)\b"
    r"|\bSubproblem 0\b.+?\bSubproblem 1\b",
    re.DOTALL,
)
_PROOF = re.compile(r"\bprove\b(?! to be)|\b(?:show|demonstrate|verify) that\b", re.IGNORECASE)
_FIGURE = re.compile(
    r"\[asy\]|\\begin\{tikzpicture\}|\\includegraphics|!\[|<img\b"
    r"|\b(?:figure|diagram|picture|image|graph|table|chart)s? (?:is |are |as )?"
    r"(?:shown|below|above|(?:on|at) (?:the )?(?:right|left)|depicts?|shows?)\b"
    r"|\b(?:in|see|from|to) the (?:\w+ )?(?:figure|diagram|picture|drawing|sketch)\b"
    r"|\bas (?:shown|illustrated|depicted|pictured)\b|\bshown (?:below|above|here|in)\b"
    r"|\b(?:following|adjoining|accompanying) (?:figure|diagram|picture|drawing|graph)\b"
    r"|\bFig\. ?\d|\bFigure \d",
    re.IGNORECASE,
)
_DRAWING = re.compile(
    r"\[asy\].*?\[/asy\]|\\begin\{tikzpicture\}.*?\\end\{tikzpicture\}", re.DOTALL
)
_LINK = re.compile(r"https?://|\bwww\.\w", re.IGNORECASE)
_CHOICE = re.compile(
    r"\(A\).+?\(B\).+?\(C\)|\\text(?:bf|rm)?\s*\{\s*\(?A[).].+?\(?B[).].+?\(?C[).]"
    r"|(?:^|\s)A[.)]\s.+?\sB[.)]\s.+?\sC[.)]\s"
    r"|\\mathrm\s*\{\s*\(A\)",
    re.DOTALL,
)
_MARKUP = re.compile(
    r"</?(?:p|br|div|span|table|td|tr|sub|sup|b|i|a)\b[^>]*>|&(?:nbsp|lt|gt|amp|quot);|�"
)
_ENGLISH = frozenset({
    "the", "of", "and", "is", "are", "to", "in", "what", "that", "for", "with", "by", "be",
    "as", "at", "from", "it", "its", "this", "which", "where", "when", "if", "how", "has",
    "have", "had", "was", "were", "will", "would", "than", "she", "he", "her", "his", "their",
    "they", "one", "each", "every", "all", "both", "after", "find", "compute", "determine",
    "evaluate", "simplify", "solve", "calculate", "express", "let", "given", "many", "does",
    "do", "value", "number", "not", "no", "there", "such", "on", "or", "into", "more", "less",
    "first", "next", "last", "same",
})  # fmt: skip
_LETTERS = re.compile(r"[^\W\d_]+")
_MATHS = re.compile(r"\$\$.*?\$\$|\$.*?\$|\\\[.*?\\\]|\\\(.*?\\\)|\\[a-zA-Z]+", re.DOTALL)

ENOUGH_WORDS = 10
"""Words of two letters or more from which the language of a text can be told."""

FOREIGN_SHARE = 0.1
"""Letters of other scripts than Latin and Greek, from which a text is not English."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Characters that a problem may have."""

    least: int
    most: int


def fault(problem: str, rules: frozenset[Rule], lengths: Lengths) -> Rule | None:
    """The first of the rules that a problem breaks; None where it keeps them all.

    Of a drawing as program (`[asy] … [/asy]`) only that it is there is looked at.
    """
    broken = (rule for rule in REASONS if rule in rules and _BROKEN[rule](problem, lengths))
    return next(broken, None)


def is_english(text: str) -> bool:
    """May it be English? Decided by script, and in longer texts by the commonest words.

    No text in another language with ENOUGH_WORDS words has one in eight of English's commonest;
    formulas say nothing.
    """
    prose = _MATHS.sub(" ", _DRAWING.sub(" ", text))
    found = _LETTERS.findall(prose)
    letters = "".join(found)
    if sum(not _is_western(letter) for letter in letters) > FOREIGN_SHARE * len(letters):
        return False
    long = [word.casefold() for word in found if len(word) > 1]
    return len(long) < ENOUGH_WORDS or sum(word in _ENGLISH for word in long) * 8 >= len(long)


def _is_western(letter: str) -> bool:
    """Latin, with its accents, or Greek."""
    return letter < "\u0400" or "\u1e00" <= letter <= "\u1fff"


def _holds(pattern: re.Pattern[str]) -> Callable[[str, Lengths], bool]:
    return lambda problem, _: pattern.search(_DRAWING.sub(" ", problem)) is not None


_BROKEN: dict[Rule, Callable[[str, Lengths], bool]] = {
    "short": lambda problem, lengths: len(problem) < lengths.least,
    "long": lambda problem, lengths: len(problem) > lengths.most,
    "several_parts": _holds(_PARTS),
    "several_questions": lambda problem, _: problem.count("?") > 1,
    "proof": _holds(_PROOF),
    "figure": lambda problem, _: _FIGURE.search(problem) is not None,
    "link": _holds(_LINK),
    "multiple_choice": _holds(_CHOICE),
    "not_english": lambda problem, _: not is_english(problem),
    "markup": _holds(_MARKUP),
}
