"""What of a completion is its answer, and the traps of grading that must not be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.answer import final_answer
from services.scorer.elements import elements

CAREFUL = "<think>\n8+9=17\n17-4=13\n</think>\n\\boxed{13}"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (CAREFUL, "13"),
        ("no thinking, just \\boxed{4}", "4"),
        ("\\boxed{1}, no: \\boxed{2}", "2"),  # the last one counts
        ("\\boxed 5", "5"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("The answer is 13", None),  # math-verify alone would credit this
        ("<think>\n5+7=\\boxed{12}", None),  # cut off while thinking
        ("<think>\\boxed{3}</think> so three", None),
        ("<think></think> wait <think> \\boxed{3}", None),
        ("\\boxed{13", None),
        ("\\boxed{}", None),
        ("", None),
    ],
)
def test_the_answer_is_the_last_box_after_the_thinking(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize("finished", [True, False])
def test_a_box_in_a_thought_that_the_prompt_opened_and_nobody_closed_is_no_answer(finished):
    assert final_answer("it is \\boxed{12}, or", finished, thought_open=True) is None
    assert final_answer("it</think>\\boxed{12}", finished, thought_open=True) == "12"


def test_a_completion_that_was_cut_off_without_an_end_of_a_thought_has_no_answer():
    assert final_answer("so it is \\boxed{12}, or", finished=False) is None


def test_an_endless_box_is_no_answer():
    assert final_answer("\\boxed{" + "1" * 100_000 + "}") is None


@pytest.mark.parametrize(
    ("text", "reference", "answer"),
    [
        ("\\boxed{2} and \\boxed{3}", "2,3", "2, 3"),
        ("<think>\\boxed{9}</think>\\boxed{2} and \\boxed 3", "2, 3", "2, 3"),
        ("\\boxed{2} and \\boxed{3}", "\\{2,3\\}", "2, 3"),
        ("\\boxed{2} and \\boxed{3}", "3", "3"),
        ("\\boxed{2}, \\boxed{3}, \\boxed{5}", "2,3", "5"),
        ("\\boxed{2,3} or \\boxed{2,5}", "2,3", "2,5"),
        ("\\boxed{2} or \\boxed{2,3}", "2,3", "2,3"),
        ("\\boxed{2,5}, \\boxed{3}", "2,3", "3"),
        ("\\boxed{2} and \\boxed{3}", "(2,3)", "3"),  # a point, not a list
        ("\\boxed{1} and \\boxed{000}", "1,000", "000"),
        ("\\boxed{2} and \\boxed{3} and \\boxed{", "2,3", None),
    ],
)
def test_boxes_are_a_list_only_where_there_are_as_many_as_the_reference_has_elements(
    text, reference, answer
):
    assert final_answer(text, reference=reference) == answer


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6), st.integers(2, 6))
def test_more_boxes_or_fewer_than_the_list_has_elements_count_as_the_last_one(found, size):
    text = " or ".join(f"\\boxed{{{each}}}" for each in found)
    answer = final_answer(text, reference=",".join(map(str, range(size))))
    assert answer == (", ".join(map(str, found)) if len(found) == size else str(found[-1]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2,3", ["2", "3"]),
        ("\\{1, (2,3)\\}", ["1", "(2,3)"]),
        ("\\left\\{ 1, 2 \\right\\}", ["1", "2"]),
        ("(2,3)", ["(2,3)"]),
        ("1,000", ["1000"]),
        ("1{,}000{,}000, 5", ["1000000", "5"]),
        ("\\frac{1}{2}, f(1,2)", ["\\frac{1}{2}", "f(1,2)"]),
        ("2 \\text{ and } 3", ["2", "3"]),
        ("", [""]),
    ],
)
def test_elements_are_what_stands_between_the_commas_outside_of_brackets(text, expected):
    assert elements(text) == expected
