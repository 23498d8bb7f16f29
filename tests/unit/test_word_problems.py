"""Word problems: right answers, and nothing that is both trained on and held out."""

import re
from itertools import islice

import pytest

from tests.word_problems import NAMES, STORIES, THINGS, Split, WordProblem, problems

SPLITS: tuple[Split, ...] = ("train", "held_out")

WORDS = re.compile("|".join((*(word for pair in NAMES for word in pair), *THINGS)))


def some(split: Split, seed: int = 0, count: int = 2000) -> list[WordProblem]:
    return list(islice(problems(split, seed), count))


def sums(split: Split) -> set[str]:
    """The problems, whoever they are told of."""
    return {WORDS.sub("_", each.problem) for each in some(split)}


def test_a_seed_gives_the_same_problems() -> None:
    assert some("train", seed=3) == some("train", seed=3)
    assert some("train", seed=3) != some("train", seed=4)


def test_no_problem_comes_twice() -> None:
    texts = [each.problem for split in SPLITS for each in some(split)]
    assert len(set(texts)) == len(texts)


def test_what_is_held_out_is_not_trained_on_in_other_words() -> None:
    assert len(sums("held_out")) > 100
    assert not sums("train") & sums("held_out")


@pytest.mark.parametrize("split", SPLITS)
def test_every_story_is_told(split: Split) -> None:
    assert {each.story for each in some(split)} == set(range(len(STORIES)))


def test_answers_follow_from_the_numbers_of_the_text() -> None:
    """In the order of the text; a second way to compute them, by the story's last numbers."""
    expected = {
        "buys {b} more": lambda a, b: a + b, "then {b} more": lambda a, b: a + b,
        "and {friend} has {b}": lambda a, b: a + b, "{b} more than": lambda a, b: a + b,
        "puts {b} more": lambda a, b: a + b, "gives {b} to": lambda a, b: a - b,
        "loses {b} of": lambda a, b: a - b, "needs {a}": lambda a, b: a - b,
        "{b} of them are red": lambda a, b: a - b, "{b} fewer": lambda a, b: a - b,
        "boxes": lambda a, b: a * b, "every day": lambda a, b: a * b, "bag": lambda a, b: a * b,
        "friends have": lambda a, b: a * b,
    }  # fmt: skip
    for each in some("train"):
        numbers = [int(n) for n in re.findall(r"\d+", each.problem)]
        text = STORIES[each.story].text
        if len(numbers) == 3:
            sign = 1 if "finds" in text else -1
            assert int(each.answer) == numbers[0] + sign * numbers[1] - numbers[2] > 0
            continue
        rule = next(rule for words, rule in expected.items() if words in text)
        assert int(each.answer) == rule(*numbers) > 0
