"""Rewards: what earns them, and how much."""

import math

import pytest

from openrs_core.recipe.scorer import CosineSection, ScorerSection
from services.scorer.rewards import cosine, has_format, score

CAREFUL = "<think>\n8+9=17\n17-4=13\n</think>\n\\boxed{13}"


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
