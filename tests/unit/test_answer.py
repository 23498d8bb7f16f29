"""What of a completion is its answer, and the traps of grading that must not earn a reward."""

import pytest

from services.scorer.answer import final_answer, is_unevaluated

CAREFUL = "<think>\n8+9=17\n17-4=13\n</think>\n\\boxed{13}"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (CAREFUL, "13"),
        ("no thinking, just \\boxed{4}", "4"),
        ("\\boxed{1}, no: \\boxed{2}", "2"),  # the last one counts
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("The answer is 13", None),  # math-verify alone would credit this
        ("<think>\n5+7=\\boxed{12}", None),  # cut off while thinking
        ("<think>\\boxed{3}</think> so three", None),
        ("\\boxed{13", None),
        ("\\boxed{}", None),
        ("", None),
    ],
)
def test_the_answer_is_the_last_box_after_the_thinking(text, answer):
    assert final_answer(text) == answer


def test_a_box_in_a_thought_that_the_prompt_opened_and_nobody_closed_is_no_answer():
    assert final_answer("so it is \\boxed{12}, or", finished=False) is None


def test_an_endless_box_is_no_answer():
    assert final_answer("\\boxed{" + "1" * 100_000 + "}") is None


@pytest.mark.parametrize(
    "answer", ["8+9-4-6", "8 + 9", "3\\times 4", "2^{3}", "14/2", "(8)-(1)", "7=8-1"]
)
def test_the_unevaluated_question_is_no_answer_to_it(answer):
    """math-verify finds 8+9-4-6 equal to 7: copying the question would be a perfect reward hack."""
    assert is_unevaluated(answer, "7")


@pytest.mark.parametrize(
    "answer", ["7", "-7", "+7", "7.0", "x=7", "8-1=7", "1,007", "7^\\circ", "\\text{7}"]
)
def test_a_value_is_an_answer(answer):
    assert not is_unevaluated(answer, "7")


def test_a_formula_may_answer_a_formula():
    assert not is_unevaluated("x^2+1", "1+x^2")
    assert not is_unevaluated("\\frac{1}{2}", "0.5")
