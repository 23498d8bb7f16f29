"""Rewards: what earns them, and the traps of grading that must not."""

import math

import pytest

from openrs_core.recipe.scorer import CosineSection, ScorerSection
from services.scorer.answer import final_answer, is_unevaluated
from services.scorer.rewards import cosine, has_format, score

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


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (CAREFUL, True),
        (CAREFUL.removeprefix("<think>\n"), True),  # the template may have opened the thought
        ("<think>\n\n</think>\n\\boxed{1}", True),
        ("\\boxed{1}", False),
        ("<think>\n</think>\nThe answer is 1", False),
        ("<think></think></think>\\boxed{1}", False),
    ],
)
def test_think_then_box(text, fits):
    assert has_format(text, "think_then_box") is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [("a\n</think>\nb", True), ("a</think>b", False), ("a\n</think>\nb\n</think>\nc", False)],
)
def test_one_think_end_is_the_format_reward_of_open_rs(text, fits):
    assert has_format(text, "one_think_end") is fits


AS_SHIPPED = CosineSection(
    max_length=3584, unit="characters", clamp=False, correct=(1.0, 0.5), incorrect=(0.0, -0.5)
)


@pytest.mark.parametrize(
    ("length", "correct", "expected"),
    [
        (0, True, 1.0),
        (1792, True, 0.75),
        (3584, True, 0.5),
        (7168, True, 1.0),  # periodic: as long as it likes, it is short again
        (0, False, 0.0),
        (1792, False, -0.25),
        (3584, False, -0.5),
        (7168, False, 0.0),
    ],
)
def test_the_cosine_as_open_rs_shipped_it(length, correct, expected):
    """Figures of arXiv 2503.16219's code: characters, not clamped, wrong from 0 to -0.5."""
    assert cosine(length, correct, AS_SHIPPED) == pytest.approx(expected)


def test_the_cosine_as_it_was_meant_stops_at_the_limit():
    rules = CosineSection(max_length=100)
    assert cosine(100, True, rules) == cosine(1000, True, rules) == pytest.approx(0.5)
    assert cosine(0, False, rules) == pytest.approx(-1.0)
    assert cosine(100, False, rules) == pytest.approx(-0.5)
    assert cosine(50, True, rules) == pytest.approx(0.5 + 0.25 * (1 + math.cos(math.pi / 2)))


def test_the_reward_is_the_weighted_sum_of_its_components():
    rules = ScorerSection(weights={"accuracy": 1.0, "format": 0.2})
    found = score(CAREFUL, 20, "correct", rules)
    assert found.components == {"accuracy": 1.0, "format": 1.0}
    assert found.reward == pytest.approx(1.2)
    assert score("13", 1, "no_answer", rules).reward == 0.0


@pytest.mark.parametrize("verdict", ["timeout", "error"])
def test_nothing_is_earned_or_lost_when_nobody_knows(verdict):
    """Not even a good format: the verdict says that this is no judgement of the answer."""
    rules = ScorerSection(weights={"accuracy": 1.0, "format": 0.2, "cosine": 1.0})
    assert score(CAREFUL, 20, verdict, rules).reward == 0.0


def test_length_is_counted_in_what_the_recipe_says():
    by_tokens = ScorerSection(weights={"cosine": 1.0}, cosine=CosineSection(max_length=10))
    by_characters = ScorerSection(
        weights={"cosine": 1.0}, cosine=CosineSection(max_length=10, unit="characters")
    )
    text = "x" * 10
    assert score(text, 0, "correct", by_tokens).reward == pytest.approx(1.0)
    assert score(text, 0, "correct", by_characters).reward == pytest.approx(0.5)
