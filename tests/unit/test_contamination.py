"""Which problems are found to be a benchmark's, and which are not."""

from dataclasses import dataclass

import pytest

from services.curator.contamination import Benchmarks
from tests.benchmark_problems import benchmark_problems
from tests.planted_problems import clean, stand_in
from tests.rewordings import renumbered, retyped, reworded

SIZE, LEAST = 3, 0.5
"""The defaults of the recipe."""


def known(*problems: str) -> Benchmarks:
    """A benchmark `set/0`, `set/1` and so on."""
    return Benchmarks(
        [(f"set/{number}", text) for number, text in enumerate(problems)], size=SIZE, least=LEAST
    )


def how(benchmark: str, problem: str) -> str | None:
    hit = known(benchmark).hit(problem)
    return hit and hit.how


AYA = (
    "Every morning Aya goes for a $9$-kilometer-long walk and stops at a coffee shop afterwards. "
    "Find the number of minutes the walk takes her, including the $t$ minutes spent in the shop."
)


@pytest.mark.parametrize(
    ("benchmark", "copy"),
    [
        (r"Find $\dfrac{1}{2}$ of $x$.", r"find  \( \frac12 \) of  $$x$$"),
        (r"Let $a \leq b$. Compute $\left(a+b\right)^2$.", "let $a\\le b$, compute $(a + b)^{2}$"),
        ("How many of the 12,000 are there?", "How many of the 12000 are there?"),
        (r"What is $3 \times 4$ in $\mathbf{Z}$?", "What is $3·4$ in Z"),
        ("Find two numbers.", "find 2 numbers"),
        ("Where is it? [asy] draw((0,0)--(1,1)); [/asy]", "Where is it?"),
    ],
)
def test_another_spelling_is_the_same_problem(benchmark, copy):
    assert how(benchmark, copy) == "exact"


@pytest.mark.parametrize(
    ("benchmark", "other"),
    [
        ("Compute $3+4$.", "Compute $3+5$."),
        ("Find $x^{12}$.", "Find $x^1 2 y$."),
        (r"Find $\sin 3$.", r"Find $\cos 3$."),
        ("Is it 1.5?", "Is it 15?"),
    ],
)
def test_a_number_or_a_function_makes_a_short_problem_another(benchmark, other):
    assert how(benchmark, other) is None


def test_a_problem_is_found_inside_another_text():
    asked = "Evaluate $(1+2i)6-3i$."
    text = f"You are an expert. {asked} Think step by step, then put the answer in a box, please."
    assert how(asked, text) == "contained"
    assert how(asked, text.replace("1+2i", "1+7i")) is None


def test_a_piece_of_a_problem_is_found_if_it_is_long_enough():
    assert how(f"Read this first. {AYA}", AYA) == "contained"
    assert how(AYA, "Find the number of minutes the walk takes her.") is None


def test_a_longer_problem_with_other_numbers_is_renumbered():
    assert how(AYA, AYA.replace("$9$", "$14$")) == "renumbered"


def test_a_reworded_problem_overlaps():
    copy = AYA.replace("Find the number of", "How many").replace("goes for", "takes")
    hit = known("Another one, with nothing of it.", AYA).hit(copy)
    assert (hit.benchmark, hit.how) == ("set/1", "overlap")
    assert LEAST <= hit.overlap < 1


def test_of_two_that_overlap_the_nearer_one_is_named():
    nearer = AYA.replace("Find", "Say")
    assert known(AYA, nearer).hit(f"{nearer} Answer it.").benchmark == "set/1"


def test_nothing_is_found_where_nothing_is_known():
    empty = known("", "?")
    assert empty.count == 0
    assert empty.hit("") is None
    assert empty.hit(AYA) is None


@dataclass(frozen=True)
class Caught:
    """Of so many copies, how many were found; of so many clean ones, how many were lost."""

    retyped: float
    renumbered: float
    reworded: float
    lost: int


def caught(benchmark: list[tuple[str, str]], others: list[str]) -> Caught:
    found = Benchmarks(benchmark, size=SIZE, least=LEAST)

    def share(make) -> float:
        hits = [found.hit(make(text, name)) for name, text in benchmark]
        return sum(hit is not None for hit in hits) / len(hits)

    lost = sum(found.hit(text) is not None for text in others)
    return Caught(share(retyped), share(renumbered), share(reworded), lost)


def test_copies_of_a_stand_in_are_caught_and_clean_problems_are_not():
    """All that are retyped, 95 % of the renumbered and of the reworded; none of 2,000 clean ones.

    A verbatim copy is the least of the retyped ones.
    """
    benchmark = [(row.id, row.problem) for row in stand_in(120)]
    result = caught(benchmark, [row.problem for row in clean(2000)])
    assert result.retyped == 1
    assert result.renumbered >= 0.95
    assert result.reworded >= 0.95
    assert result.lost == 0


def test_copies_of_the_benchmarks_are_caught():
    """The same of the six benchmarks: 1,547 problems of contests and textbooks."""
    benchmark = [(row.name, row.problem) for row in benchmark_problems()]
    result = caught(benchmark, [row.problem for row in clean(2000)])
    assert result.retyped == 1
    assert result.renumbered >= 0.95
    assert result.reworded >= 0.95
    assert result.lost == 0


def test_the_500_problems_of_math_500_are_none_of_the_other_benchmarks():
    """Real problems of the same kind, and none of them lost."""
    rows = benchmark_problems()
    others = [(row.name, row.problem) for row in rows if not row.name.startswith("math500/")]
    result = caught(others, [row.problem for row in rows if row.name.startswith("math500/")])
    assert len(rows) - len(others) == 500
    assert result.lost == 0
