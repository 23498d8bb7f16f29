"""Problems that are always or never solved rest or retire; the others come in every epoch."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.recipe.curriculum import CurriculumSection
from services.learner.algorithm.curriculum import Curriculum

RULES = CurriculumSection(enabled=True)
PROBLEMS = 4


def prompt_at(place: int) -> str:
    """Every epoch in the same order."""
    return f"p{place % PROBLEMS}"


class Visits:
    """Issues one place after the other; each problem is solved by a fixed number of ten."""

    def __init__(self, solved: dict[str, int], rules: CurriculumSection = RULES) -> None:
        self.solved, self.cursor = solved, 0
        self.curriculum = Curriculum(rules, PROBLEMS)

    def go(self, count: int) -> list[int]:
        """The next places that are issued and come back."""
        found = []
        for _ in range(count):
            place = self.curriculum.next_place(self.cursor, prompt_at)
            name, self.cursor = prompt_at(place), place + 1
            self.curriculum.visited(name, place, self.solved[name], 10)
            found.append(place)
        return found


def test_without_it_every_place_is_issued() -> None:
    visits = Visits({f"p{n}": 10 for n in range(4)}, CurriculumSection())
    assert visits.go(12) == list(range(12))
    assert visits.curriculum.state() == {}


def test_what_is_never_solved_rests_for_an_epoch_and_what_is_always_solved_retires() -> None:
    """p0 never, p3 always: both rest in the second epoch; in the third p3 is seen to stay easy."""
    visits = Visits({"p0": 0, "p1": 5, "p2": 8, "p3": 10})
    epochs = [visits.go(4), visits.go(2), visits.go(4), visits.go(2), visits.go(3), visits.go(2)]
    assert epochs == [[0, 1, 2, 3], [5, 6], [8, 9, 10, 11], [13, 14], [16, 17, 18], [21, 22]]


def test_a_problem_rests_as_many_epochs_as_the_recipe_says() -> None:
    rules = CurriculumSection(enabled=True, rest_epochs=2)
    visits = Visits({"p0": 0, "p1": 5, "p2": 5, "p3": 5}, rules)
    assert [place for place in visits.go(4 + 3 + 3 + 4) if place % 4 == 0] == [0, 12]


@pytest.mark.parametrize(
    ("seen", "skipped"),
    [
        ([(9, 10)], True),  # outside the band: it rests
        ([(8, 10)], False),
        ([(2, 10)], False),
        ([(1, 10)], True),
        ([(1, 10), (3, 10)], False),  # 4 of 20
        ([(0, 10), (0, 10), (8, 10)], False),  # the first is forgotten: 8 of 20
        ([(5, 10), (0, 0)], False),  # nothing verified: no visit
        ([(0, 0)], False),
    ],
)
def test_the_pass_rate_is_that_of_the_last_visits(seen, skipped) -> None:
    curriculum = Curriculum(RULES, PROBLEMS)
    for right, verified in seen:
        curriculum.visited("p0", 0, right, verified)
    assert curriculum.skips(PROBLEMS, "p0") is skipped


def test_one_visit_retires_nothing() -> None:
    curriculum = Curriculum(RULES, PROBLEMS)
    curriculum.visited("p0", 0, 10, 10)
    assert not curriculum.skips(2 * PROBLEMS, "p0"), "it has rested"
    curriculum.visited("p0", 8, 10, 10)
    assert curriculum.skips(1000 * PROBLEMS, "p0")


def test_where_all_are_skipped_the_one_seen_longest_ago_is_taken() -> None:
    visits = Visits({f"p{n}": 0 for n in range(4)})
    assert visits.go(9) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert visits.curriculum.next_place(6, prompt_at) == 9, "p1, last seen at 5"


def test_what_is_retired_is_taken_last() -> None:
    """p1 would be the one seen longest ago."""
    curriculum = Curriculum(RULES, PROBLEMS)
    for place, right in ((0, 0), (1, 10), (2, 0), (3, 0), (1, 10)):
        curriculum.visited(prompt_at(place), place, right, 10)
    assert curriculum.next_place(4, prompt_at) == 4
    assert curriculum.next_place(5, prompt_at) == 8


def test_so_many_are_kept_however_many_were_solved() -> None:
    """All are always solved: one of four is kept, and comes again when it has rested."""
    visits = Visits({f"p{n}": 10 for n in range(4)})
    visits.go(8)
    kept = [name for name, each in visits.curriculum.state().items() if not each["retired"]]
    assert kept == ["p3"]
    assert {place % PROBLEMS for place in visits.go(5)} == {3}


def test_where_none_need_be_kept_all_retire() -> None:
    visits = Visits({f"p{n}": 10 for n in range(4)}, CurriculumSection(enabled=True, keep=0))
    visits.go(8)
    assert all(each["retired"] for each in visits.curriculum.state().values())


marks = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4)), max_size=30)


@given(seen=marks, cursor=st.integers(0, 60))
def test_at_most_one_epoch_is_passed_over(seen, cursor) -> None:
    curriculum = Curriculum(RULES, PROBLEMS)
    for place, right in seen:
        curriculum.visited(prompt_at(place), place, right, 4)
    found = curriculum.next_place(cursor, prompt_at)
    assert cursor <= found < cursor + PROBLEMS
    passed = range(cursor, cursor + PROBLEMS)
    if any(not curriculum.skips(place, prompt_at(place)) for place in passed):
        assert not curriculum.skips(found, prompt_at(found))
        assert all(curriculum.skips(place, prompt_at(place)) for place in range(cursor, found))


@given(before=marks, after=marks, cursor=st.integers(0, 60))
def test_it_goes_on_from_its_state_with_the_same_places(before, after, cursor) -> None:
    begun, later = Curriculum(RULES, PROBLEMS), Curriculum(RULES, PROBLEMS)
    for place, right in before:
        begun.visited(prompt_at(place), place, right, 4)
    later.restore(json.loads(json.dumps(begun.state())))
    for place, right in after:
        begun.visited(prompt_at(place), place, right, 4)
        later.visited(prompt_at(place), place, right, 4)
    assert later.next_place(cursor, prompt_at) == begun.next_place(cursor, prompt_at)
    assert later.state() == begun.state()
