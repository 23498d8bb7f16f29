"""What of a problem makes it unfit for an answer that is verified."""

import pytest

from services.curator.criteria import REASONS, Lengths, fault, is_english
from tests.benchmark_problems import benchmark_problems
from tests.planted_problems import clean

EVERY = frozenset(REASONS)
LENGTHS = Lengths(10, 4000)

SPANISH = (
    "Una caja contiene doce manzanas y María compra siete más. ¿Cuántas manzanas tiene María "
    "ahora en total, si regala tres de ellas a su hermano?"
)


@pytest.mark.parametrize(
    ("problem", "rule"),
    [
        ("Let $x=3$. (a) Find $x^2$. (b) Find $x^3$.", "several_parts"),
        ("Consider a cube. (i) What is its volume? (ii) Its surface.", "several_parts"),
        ("Do this:\n1. Find $x$ in the first.\n2. Find $y$ in the second.", "several_parts"),
        ("Part 1: find the sum of all. Part 2: find the product.", "several_parts"),
        ("What is $2+3$? And what is $3+4$?", "several_questions"),
        ("Prove that $\\sqrt{2}$ is irrational.", "proof"),
        ("Find all such $n$ and show that there are no others.", "proof"),
        ("In the figure, $AB=3$. Find the angle at $C$.", "figure"),
        ("The diagram below is a square. What is its area?", "figure"),
        ("Find the area. [asy] draw((0,0)--(1,1)); [/asy]", "figure"),
        ("Find the angle.\n![](graph.png)", "figure"),
        ("As shown, two lines meet. What is the angle of both?", "figure"),
        ("See https://example.com for the numbers, then add them.", "link"),
        ("What is $1+1$? (A) 1 (B) 2 (C) 3 (D) 4", "multiple_choice"),
        (r"What is it? $\textbf{(A)}\ 1 \qquad \textbf{(B)}\ 2 \qquad \textbf{(C)}\ 3$",
         "multiple_choice"),
        (SPANISH.replace("¿", "").replace("?", "."), "not_english"),
        ("求所有满足条件的正整数 $n$ 的和。", "not_english"),
        ("Сколько будет $2+3$, если считать по модулю 5?", "not_english"),
        ("Find the sum of<br>all the numbers &nbsp; below ten.", "markup"),
        ("Find $x$.", "short"),
        ("Find the sum of " + "1 + " * 1100 + "1.", "long"),
    ],
)  # fmt: skip
def test_what_is_unfit_is_named(problem, rule):
    assert fault(problem, EVERY, LENGTHS) == rule


@pytest.mark.parametrize(
    "problem",
    [
        "If $f(1)=2$, $f(2)=6$ and $f(3)=5$, then what is $f^{-1}(f^{-1}(6))$?",
        "Give your answer to three significant figures: what is $\\pi^2$?",
        "Show your work. How many primes are below 100?",
        "The point (a) lies between (b, c) and the origin. How far is it from there?",
        "An integer is improved by a machine. Find the number of tablets it improves.",
        "Let $ABC$ be a triangle with $(A)$ its area. Determine $(A)$ if the sides are 3, 4, 5.",
        "Find $\\alpha+\\beta$ where Erdős and Bézout both chose $\\alpha=3$ and $\\beta=4$.",
        "Compute $1-2+3-4+5- \\dots +99-100$.",
    ],
)
def test_what_is_fit_is_left_alone(problem):
    assert fault(problem, EVERY, LENGTHS) is None


def test_only_the_rules_asked_for_are_kept():
    assert fault("Prove that 2 > 1, as shown below.", frozenset(["figure"]), LENGTHS) == "figure"
    assert fault("Prove that 2 > 1, as shown below.", frozenset(), LENGTHS) is None


def test_the_language_of_a_short_text_is_not_told():
    assert is_english("Calculer 3+4")
    assert not is_english(SPANISH)


def test_word_problems_keep_all_rules():
    assert [row.problem for row in clean(1000) if fault(row.problem, EVERY, LENGTHS)] == []


def test_problems_of_contests_mostly_keep_them():
    """Of AIME, AMC and MATH-500 at most one in eight goes, and none for its language.

    Those that go are mostly drawn: a third of what goes has a figure as a program.
    """
    chosen = ("aime24/", "aime25/", "amc23/", "math500/")
    rows = [row for row in benchmark_problems() if row.name.startswith(chosen)]
    found = [fault(row.problem, EVERY, LENGTHS) for row in rows]
    assert found.count("not_english") == 0
    assert len(rows) - found.count(None) <= len(rows) / 8
