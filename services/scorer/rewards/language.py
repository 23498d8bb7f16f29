r"""How much of a completion is in the language asked for: measured always, a reward if weighed.

DeepSeek-R1 (arXiv 2501.12948, section 2.3.2) rewards the share of words in the target language.
Here it is the share of letters, since not every script has words: letters in one of `scripts`, if
any is named, and if there is a `code`, in paragraphs that are in that language.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import regex

from openrs_core.errors import RecipeError
from openrs_core.recipe.scorer import LanguageSection
from services.scorer.rewards.prose import prose

FEW_LETTERS = 60
"""Shorter paragraphs are joined with the next: nobody can tell the language of `Thus,`."""

_LETTERS = regex.compile(r"\p{L}+")


def language_share(text: str, rules: LanguageSection) -> float:
    """The share of letters in the language asked for, from 0 to 1; 1 where there are none."""
    if not rules.scripts and not rules.code:
        return 1.0
    letters = inside = 0
    for part in _parts(prose(text)) if rules.code else [prose(text)]:
        found = "".join(_LETTERS.findall(part))
        letters += len(found)
        if not rules.code or _identifier().classify(part)[0] == rules.code:
            inside += _in_scripts(found, rules.scripts)
    return inside / letters if letters else 1.0


def refuse_unknown_language(rules: LanguageSection) -> None:
    """Raise RecipeError when the language asked for cannot be told here."""
    if not rules.code:
        return
    where = f"scorer.language.code is {rules.code!r}"
    try:
        known = _identifier().labels
    except ImportError as error:
        raise RecipeError(
            f"{where}, which needs py3langid: pip install 'openrs[language]', or ask for "
            "scorer.language.scripts alone"
        ) from error
    if rules.code not in known:
        raise RecipeError(f"{where}, which py3langid does not know; {', '.join(sorted(known))}")


def _in_scripts(letters: str, scripts: Sequence[str]) -> int:
    """How many of the letters are in one of the scripts; all, if none is named."""
    if not scripts:
        return len(letters)
    return sum(len(run) for run in _script(tuple(scripts)).findall(letters))


def _parts(text: str) -> Iterator[str]:
    """The paragraphs, short ones together with those that follow."""
    open_: list[str] = []
    letters = 0
    for paragraph in text.split("\n\n"):
        open_.append(paragraph)
        letters += sum(map(len, _LETTERS.findall(paragraph)))
        if letters >= FEW_LETTERS:
            yield "\n".join(open_)
            open_, letters = [], 0
    yield "\n".join(open_)


@cache
def _script(scripts: tuple[str, ...]) -> "regex.Pattern[str]":
    return regex.compile("[" + "".join(rf"\p{{Script={name}}}" for name in scripts) + "]+")


@cache
def _identifier() -> Any:
    """What tells languages apart; loaded when a recipe asks for one."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
