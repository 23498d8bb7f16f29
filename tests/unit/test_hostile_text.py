"""What the scorer itself does with a text takes time in proportion to its length."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.boxed import LONGEST
from openrs_core.recipe.scorer import LanguageSection
from services.scorer.answer import final_answer
from services.scorer.comparison import is_tower
from services.scorer.elements import elements
from services.scorer.number import are_numbers, is_number, scientific
from services.scorer.rewards.form import has_format, reasoning_steps, tag_count
from services.scorer.rewards.language import language_share
from services.scorer.rewards.prose import prose
from services.scorer.span import is_copied
from tests.hostile import MEGABYTE, WHOLE

QUICK_SECONDS = 1.0
"""Measured: at most 0.02 s for a megabyte. A quadratic pass over it takes hours."""

LATIN = LanguageSection(scripts=("Latin",))

PIECES = ["<think>", "</think>", "\\boxed{", "}", "{", "\\", "7", "\n", "</think", "ab", "^{"]
TEXTS = {
    **WHOLE,
    **{f"a megabyte of {piece!r}": piece * (MEGABYTE // len(piece)) for piece in PIECES},
    **{
        f"</think> and a megabyte of {piece!r}": "</think>" + piece * (MEGABYTE // len(piece))
        for piece in PIECES
    },
    "boxes that only the last brace closes": "</think>" + "\\boxed{" * (MEGABYTE // 7) + "<think>}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_megabyte_is_looked_at_in_no_time(text):
    begun = time.process_time()
    answer = final_answer(text)
    final_answer(text, reference="1,2")
    has_format(text, "think_then_box")
    has_format(text, "one_think_end")
    tag_count(text)
    reasoning_steps(text)
    language_share(text, LATIN)
    assert time.process_time() - begun < QUICK_SECONDS
    assert answer is None or len(answer) <= LONGEST


ANSWER_PIECES = [
    "7 ", "7" + " " * 99, " ", "7,", "=", "^{", "!", "! ", "(", "**{", "1,000", "{,}", ",000", "$",
    "\\frac{1}{", "\\frac 1 1", "\\text{", "\\text{a}^", "\\left\\{", "\\times10^{", "\\,",
    "^\\circ", "_{1}",
]  # fmt: skip


@pytest.mark.parametrize("piece", ANSWER_PIECES)
def test_the_longest_answer_is_looked_at_in_no_time(piece):
    answer = (piece * LONGEST)[:LONGEST]
    problem = (piece * MEGABYTE)[:MEGABYTE]
    begun = time.process_time()
    are_numbers(answer)
    is_number(answer)
    scientific(answer)
    elements(answer)
    is_tower(answer)
    is_copied(answer, problem, answer[1:])
    assert time.process_time() - begun < QUICK_SECONDS


FORM = re.compile(
    r"\A(?:<think>)?(?:(?!</?think>).)*</think>(?:(?!</?think>).)*\\boxed\{.+\}", re.DOTALL
)


OPENED = [
    "$",
    "$$",
    "$x",
    "\\[",
    "\\(",
    "```",
    "`",
    "\\begin{a}",
    "\\begin{",
    "\\end{",
    "1.\n",
    "\n\n",
]


@pytest.mark.parametrize("piece", OPENED)
@pytest.mark.parametrize("first", ["", "$", "\\[", "```", "\\begin{a}"])
def test_a_megabyte_of_what_is_opened_and_never_closed_is_looked_at_in_no_time(first, piece):
    text = first + piece * (MEGABYTE // len(piece))
    begun = time.process_time()
    prose(text)
    reasoning_steps(text)
    assert time.process_time() - begun < QUICK_SECONDS


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_the_form_is_that_of_the_pattern_which_would_be_too_slow(text):
    assert has_format(text, "think_then_box") == bool(FORM.match(text))


@pytest.mark.parametrize(
    ("answer", "tower"),
    [
        ("2^{2^{3}}", True),
        ("5^{\\left(5^{5}\\right)}", True),
        ("9**(9**9)", True),
        ("((10!)!)!", True),
        ("9!!!!", True),
        ("x^{2}+y^{2}", False),
        ("x^2+1", False),
        ("(x^2)^3", False),
        ("10!", False),
        ("\\frac{1}{2}", False),
    ],
)
def test_a_tower_is_a_power_in_an_exponent_or_factorials_of_factorials(answer, tower):
    assert is_tower(answer) is tower
