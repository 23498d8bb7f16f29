"""How much of a completion is in the language asked for."""
# ruff: noqa: RUF001  letters that look alike are what this is about

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.errors import RecipeError
from openrs_core.recipe.scorer import LanguageSection
from services.scorer.rewards import language
from services.scorer.rewards.language import language_share, refuse_unknown_language
from services.scorer.rewards.prose import prose

LATIN, CYRILLIC = LanguageSection(scripts=("Latin",)), LanguageSection(scripts=("Cyrillic",))
JAPANESE = LanguageSection(scripts=("Han", "Hiragana", "Katakana"))


@pytest.mark.parametrize(
    ("text", "rules", "share"),
    [
        ("So the answer is seven.", LATIN, 1.0),
        ("So the answer is семь.", LATIN, 13 / 17),
        ("Ответ: семь", CYRILLIC, 1.0),
        ("答えは七です", JAPANESE, 1.0),
        ("答えは seven", JAPANESE, 3 / 8),
        ("答案是七", LATIN, 0.0),
        ("naïve Größe", LATIN, 1.0),
        ("7 + 8 = 15", LATIN, 1.0),  # no letters
        ("", LATIN, 1.0),
        ("ответ", LanguageSection(), 1.0),  # any language will do
        ("Ответ: $x + y = \\text{seven}$", CYRILLIC, 1.0),
        ("Ответ \\[ \\frac{abc}{d} \\] да", CYRILLIC, 1.0),
        ("Ответ \\( abc \\) да", CYRILLIC, 1.0),
        ("Ответ $$abc$$ да", CYRILLIC, 1.0),
        ("Ответ:\n```python\nprint(x)\n```\nда", CYRILLIC, 1.0),
        ("Ответ `print(x)` да", CYRILLIC, 1.0),
        ("<think>\nОтвет\n</think>\n\\boxed{7}", CYRILLIC, 1.0),
        ("\\begin{align}a\\begin{cases}b\\end{cases}\\end{align} да", CYRILLIC, 2 / 3),
        ("It costs $5 and no more", LATIN, 1.0),  # a dollar that nothing closes hides nothing
        ("Это стоит $5 and no more", LATIN, 9 / 17),
    ],
)
def test_the_share_is_that_of_letters_in_prose(text, rules, share):
    assert language_share(text, rules) == pytest.approx(share)


letters = st.sampled_from("abcÄéжд漢字かなカ१ 5,.\n")


@given(st.text(letters, max_size=30))
def test_the_share_is_that_of_the_names_of_its_characters(text):
    """Unicode's names say the script of a letter too, if slowly."""
    found = [unicodedata.name(c) for c in text if unicodedata.category(c).startswith("L")]
    latin = sum(name.startswith("LATIN") for name in found)
    assert language_share(text, LATIN) == pytest.approx(latin / len(found) if found else 1.0)


PIECES = ["$", "$$", "\\[", "\\]", "\\(", "\\)", "```", "`", "\\frac", "ab", "\n", " ", "7"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_prose_is_what_the_lazy_patterns_leave(text):
    """The same patterns as one would write them, which take quadratic time."""
    lazy = (
        r"```.*?```|`[^`\n]*`|\$\$[^$]*\$\$|\$[^$\n]*\$"
        r"|\\\[(?:(?!\\\[).)*?\\\]|\\\((?:(?!\\\().)*?\\\)|\\[A-Za-z]+"
    )
    assert prose(text) == re.sub(lazy, " ", text, flags=re.DOTALL)


ENGLISH = "Let us first look at the numbers that are given, and then find their sum together.\n\n"
FRENCH = "Regardons d'abord les nombres qui nous sont donnés, puis cherchons à les additionner.\n\n"


def letters_of(text: str) -> int:
    return sum(character.isalpha() for character in text)


def test_languages_of_one_script_are_told_apart_by_paragraphs():
    pytest.importorskip("py3langid", reason="the extra `language` is not installed")
    rules = LanguageSection(scripts=("Latin",), code="en")
    refuse_unknown_language(rules)
    english, french = letters_of(ENGLISH), letters_of(FRENCH)
    assert language_share(ENGLISH * 3, rules) == 1.0
    assert language_share(FRENCH * 3, rules) == 0.0
    assert language_share(ENGLISH + FRENCH, rules) == pytest.approx(english / (english + french))
    with pytest.raises(RecipeError, match="'xx', which py3langid does not know"):
        refuse_unknown_language(LanguageSection(code="xx"))


def test_a_language_that_cannot_be_told_here_is_refused_by_name(monkeypatch):
    language._identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(RecipeError) as refused:
        refuse_unknown_language(LanguageSection(code="en"))
    assert "scorer.language.code is 'en', which needs py3langid" in str(refused.value)
    assert "\n" not in str(refused.value)
    refuse_unknown_language(LATIN)
