"""Which problems of a set say what another one says."""

import random

from hypothesis import given
from hypothesis import strategies as st

from services.curator.duplicates import near_duplicates
from tests.planted_problems import clean
from tests.rewordings import renumbered, retyped

SIZE, LEAST = 3, 0.8

LONG = (
    "Every morning Aya goes for a 9-kilometre walk along the river and stops at a coffee shop on "
    "her way home. She walks at a constant speed. Find the number of minutes the walk takes her."
)


def gone(*problems: tuple[str, str]) -> dict[int, int]:
    return near_duplicates(problems, size=SIZE, least=LEAST)


def test_the_first_of_near_duplicates_is_kept():
    nearly = LONG.replace("Find", "Determine")
    assert gone((LONG, "7"), ("Something else.", "7"), (nearly, "7"), (LONG, "7")) == {2: 0, 3: 0}


def test_the_same_words_go_whatever_their_answer():
    assert gone((LONG, "7"), (LONG.upper(), "8")) == {1: 0}


def test_the_same_words_but_for_a_number_are_another_problem():
    """What is as similar and has another answer stays."""
    assert gone((LONG, "7"), (LONG.replace("9-kilo", "8-kilo"), "8")) == {}


def test_answers_are_compared_as_words():
    other = LONG.replace("Find", "Determine")
    assert gone((LONG, r"\frac{1}{2}"), (other, r"$\dfrac12$")) == {1: 0}


def test_what_is_left_is_no_duplicate_of_anything_left():
    """A third that is like a second that went is kept, unless it is like the first too."""
    second = LONG.replace("Every morning", "Each day")
    third = second.replace("minutes the walk takes her", "hours she needs for it all, coffee too")
    assert gone((LONG, "7"), (second, "7"), (third, "7")) == {1: 0}


def test_retyped_copies_are_found_in_a_large_set_and_nothing_else():
    rows = clean(1500)
    copies = [(retyped(row.problem, row.id), row.answer) for row in rows[::5]]
    others = [(renumbered(row.problem, row.id), "0") for row in rows[::50]]
    problems = [(row.problem, row.answer) for row in rows]
    found = gone(*problems, *copies, *others)
    assert {place: found[place] for place in range(1500, 1800)} == {
        1500 + number: 5 * number for number in range(300)
    }
    assert [place for place in found if place < 1500] == []


@given(st.lists(st.text("abcde ", min_size=5, max_size=40), max_size=12), st.integers(0, 99))
def test_the_index_finds_what_comparing_all_with_all_finds(texts, seed):
    """The prefix filter loses nothing."""
    random.Random(seed).shuffle(texts)
    problems = [(text, "1") for text in texts]
    assert near_duplicates(problems, size=1, least=0.6) == slow(texts, 0.6)


def slow(texts: list[str], least: float) -> dict[int, int]:
    """Each against every one that is kept, in order."""
    sets = [frozenset(text.split()) or frozenset([()]) for text in texts]
    found: dict[int, int] = {}
    for place, text in enumerate(texts):
        kept = [other for other in range(place) if other not in found]
        same = [other for other in kept if texts[other].split() == text.split()]
        ours = sets[place]
        alike = [o for o in kept if len(sets[o] & ours) / len(sets[o] | ours) >= least]
        if same or alike:
            found[place] = (same or alike)[0]
    return found
