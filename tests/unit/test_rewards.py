"""Rewards: what earns them; each beside an independent, slow way to say the same."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.recipe.scorer import (
    BuiltIn,
    CosineSection,
    LanguageSection,
    OverlongSection,
    RepetitionSection,
    ScorerSection,
)
from openrs_core.wire.messages import RolloutGroup, Score, Verdict
from services.scorer.rewards.form import has_format, reasoning_steps, tag_count
from services.scorer.rewards.length import beside_siblings, cosine, overlong
from services.scorer.rewards.repetition import repetition
from services.scorer.rewards.score import COMPONENTS, score
from tests.builders import a_completion, a_group, a_prompt

CAREFUL = "<think>\n8+9=17\n17-4=13\n</think>\n\\boxed{13}"
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
EVERY = dict.fromkeys(get_args(BuiltIn), 1.0)


def a_group_of(*completions: tuple[str, int]) -> RolloutGroup:
    """Texts with their lengths in tokens."""
    prompt = a_prompt(group_size=len(completions))
    longest = max(tokens for _, tokens in completions)
    sampling = replace(prompt.sampling, max_tokens=max(8, longest))
    texts = tuple(a_completion(text, tokens=tokens) for text, tokens in completions)
    return replace(a_group(replace(prompt, sampling=sampling)), completions=texts)


def scored(text: str, tokens: int, verdict: Verdict, rules: ScorerSection) -> Score:
    return score(a_group_of((text, tokens)), [verdict], [{}], rules)[0]


# --- form -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("text", "earned"),
    [
        ("<think>\nso\n</think>\n<answer>\n7\n</answer>", 1.0),  # two tags may share a newline
        ("so\n</think>\n\n<answer>\n7\n</answer>", 0.75),  # the prompt opened the thought
        ("<think>\n<think>\nso\n</think>\n", 0.25),
        ("<think>so</think>", 0.0),
        ("", 0.0),
    ],
)
def test_each_tag_that_is_there_once_is_a_quarter(text, earned):
    assert tag_count(text) == earned


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Step 1: a\nStep 2: b\nStep 3: c\nStep 4: d", 3),
        ("1. a\n2. b", 2),
        ("- a\n* b\n- c", 3),
        ("First, a. Next, b. Finally, c.", 3),
        ("Firstly, 3.5 and 2 - 1, Stepping", 0),
        ("a 1. b", 0),
        ("", 0),
    ],
)
def test_three_markers_of_a_step_are_enough(text, steps):
    assert reasoning_steps(text) == pytest.approx(steps / 3)


# --- length -----------------------------------------------------------------------------------

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


@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 5000), st.booleans())
def test_the_cosine_is_the_half_circle_between_its_two_values(length, correct, limit, clamp):
    """hi cos^2(x/2) + lo sin^2(x/2), the same by the half-angle formulas."""
    rules = CosineSection(max_length=limit, clamp=clamp, correct=(3, -2), incorrect=(-5, 1))
    angle = math.pi * length / limit
    if clamp and length > limit:
        angle = math.pi
    high, low = (3, -2) if correct else (-5, 1)
    expected = high * math.cos(angle / 2) ** 2 + low * math.sin(angle / 2) ** 2
    assert cosine(length, correct, rules) == pytest.approx(expected, abs=1e-9)


lengths_and_verdicts = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(VERDICTS)), min_size=1, max_size=8
)


@given(lengths_and_verdicts)
def test_length_is_kimi_s_over_the_verified_completions_of_the_group(drawn):
    rules = ScorerSection(weights={"length": 1.0})
    group = a_group_of(*(("", tokens) for tokens, _ in drawn))
    found = score(group, [verdict for _, verdict in drawn], [{}] * len(drawn), rules)
    verified = [tokens for tokens, verdict in drawn if verdict != "error"]
    for (tokens, verdict), given_ in zip(drawn, found, strict=True):
        expected = Fraction(0)
        if verdict != "error" and len(set(verified)) > 1:
            span = sorted(verified)[-1] - sorted(verified)[0]
            expected = Fraction(1, 2) - Fraction(tokens - sorted(verified)[0], span)
            if verdict != "correct" and expected > 0:
                expected = Fraction(0)
        assert given_.components["length"] == pytest.approx(float(expected), abs=1e-12)


def test_the_shortest_right_answer_earns_a_half_and_the_shortest_wrong_one_nothing():
    assert beside_siblings(10, True, 10, 30) == 0.5
    assert beside_siblings(30, True, 10, 30) == beside_siblings(30, False, 10, 30) == -0.5
    assert beside_siblings(10, False, 10, 30) == 0.0
    assert beside_siblings(20, True, 10, 30) == 0.0


@pytest.mark.parametrize(("tokens", "earned"), [(0, 0), (16_384, 0), (18_432, -0.5), (20_480, -1)])
def test_the_soft_punishment_with_the_figures_of_dapo(tokens, earned):
    assert overlong(tokens, 20_480, OverlongSection()) == earned


@given(st.integers(1, 5000), st.data(), st.fractions(Fraction(1, 50), 1))
def test_overlong_is_equation_13_of_dapo(most, data, share):
    tokens = data.draw(st.integers(0, most))
    cache = share * most
    if tokens <= most - cache:
        expected = Fraction(0)
    elif tokens <= most:
        expected = (most - cache - tokens) / cache
    found = overlong(tokens, most, OverlongSection(share=float(share)))
    assert found == pytest.approx(float(expected), abs=1e-9)


# --- repetition -------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5), st.integers(0, 100))
def test_repetition_is_the_share_of_n_grams_that_were_there_before(tokens, ngram, penalty):
    grams = [tokens[n : n + ngram] for n in range(len(tokens)) if n + ngram <= len(tokens)]
    again = sum(gram in grams[:place] for place, gram in enumerate(grams))
    expected = -penalty * again / len(grams) if grams else 0.0
    rules = RepetitionSection(ngram=ngram, penalty=-penalty)
    assert repetition(tokens, rules) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("tokens", "earned"), [([7] * 102, -0.99), (range(100), 0.0), ([7, 7], 0.0), ([], 0.0)]
)
def test_one_thing_for_ever_costs_nearly_the_whole_penalty(tokens, earned):
    assert repetition(tokens, RepetitionSection()) == pytest.approx(earned)


# --- all of them ------------------------------------------------------------------------------


def test_every_name_of_a_reward_has_its_function():
    assert set(COMPONENTS) == set(get_args(BuiltIn))


def test_the_reward_is_the_weighted_sum_of_its_components():
    rules = ScorerSection(weights={"accuracy": 1.0, "format": 0.2})
    found = scored(CAREFUL, 20, "correct", rules)
    assert found.components == {"accuracy": 1.0, "format": 1.0}
    assert found.reward == pytest.approx(1.2)
    assert scored("13", 1, "no_answer", rules).reward == 0.0


def test_a_reward_of_the_user_s_own_is_a_component_like_any_other():
    rules = ScorerSection(weights={"accuracy": 1.0, "mine:short": -0.5})
    found = score(a_group_of(("a", 1)), ["correct"], [{"mine:short": 3.0}], rules)[0]
    assert found.components == {"accuracy": 1.0, "mine:short": 3.0}
    assert found.reward == pytest.approx(-0.5)


@given(lengths_and_verdicts)
def test_an_error_has_nothing_but_zeros(drawn):
    rules = ScorerSection(weights=EVERY)
    group = a_group_of(*((CAREFUL, tokens) for tokens, _ in drawn))
    for found in score(group, ["error"] * len(drawn), [{}] * len(drawn), rules):
        assert (found.reward, set(found.components.values())) == (0.0, {0.0})
        assert set(found.components) == set(EVERY)


def test_what_the_harness_credits_is_on_record_and_changes_neither_verdict_nor_reward():
    """`harness = 0`: a component beside the others, for the two ways to score to be compared."""
    rules = ScorerSection(weights={"accuracy": 1.0, "harness": 0.0})
    group = a_group_of(("a", 1), ("b", 1), ("c", 1), ("d", 1))
    verdicts: list[Verdict] = ["correct", "correct", "no_answer", "error"]
    found = score(group, verdicts, [{}] * 4, rules, [True, False, True, True])
    assert [each.components["harness"] for each in found] == [1.0, 0.0, 1.0, 1.0]
    assert [each.reward for each in found] == [1.0, 1.0, 0.0, 0.0]
    assert [each.verdict for each in found] == verdicts


def test_an_error_earns_nothing_whatever_the_harness_says():
    rules = ScorerSection(weights={"harness": 2.0})
    group = a_group_of(("a", 1), ("b", 1))
    found = score(group, ["error", "incorrect"], [{}, {}], rules, [True, True])
    assert [each.reward for each in found] == [0.0, 2.0]


@given(lengths_and_verdicts, st.integers(0, 7))
def test_a_timeout_is_scored_as_the_wrong_answer_it_is(drawn, place):
    """Nothing may be gained by an answer that takes too long to look at."""
    rules = ScorerSection(weights=EVERY)
    group = a_group_of(*((CAREFUL, tokens) for tokens, _ in drawn))
    verdicts = [verdict for _, verdict in drawn]
    place %= len(drawn)
    found = []
    for verdict in ("timeout", "incorrect"):
        verdicts[place] = verdict
        found.append(score(group, verdicts, [{}] * len(drawn), rules))
    timeout, incorrect = found
    assert replace(timeout[place], verdict="incorrect") == incorrect[place]


def test_length_is_counted_in_what_the_recipe_says():
    by_tokens = ScorerSection(weights={"cosine": 1.0}, cosine=CosineSection(max_length=10))
    by_characters = ScorerSection(
        weights={"cosine": 1.0}, cosine=CosineSection(max_length=10, unit="characters")
    )
    text = "x" * 10
    assert scored(text, 0, "correct", by_tokens).reward == pytest.approx(1.0)
    assert scored(text, 0, "correct", by_characters).reward == pytest.approx(0.5)


def test_the_language_is_measured_whether_or_not_it_is_rewarded():
    latin = LanguageSection(scripts=("Latin",))
    for weights in ({"accuracy": 1.0}, {"language": 1.0}):
        rules = ScorerSection(weights=weights, language=latin)
        assert scored("two два", 2, "incorrect", rules).language == 0.5
        assert scored("two два", 2, "error", rules).language == 0.5
    assert scored("two два", 2, "incorrect", rules).reward == 0.5
    assert scored("two два", 2, "incorrect", ScorerSection()).language == 1.0


def test_a_group_that_failed_has_no_scores():
    group = replace(a_group(), completions=(), failure="too long")
    assert score(group, [], [], ScorerSection(weights=EVERY)) == ()
