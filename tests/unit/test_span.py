"""A formula copied from the problem is no answer to it."""

import pytest

from services.scorer.span import is_copied

PROBLEM = (
    "Let $f(x) = \\left(x+1\\right)^2$, $n = 5$. Simplify $\\frac{24}{36}$, \\[ \\sqrt{ 50 } + 3! "
    "\\] for $0 \\le \\theta < 2\\pi$, where the angle is $60^\\circ$ and the price \\$4.50."
)


@pytest.mark.parametrize(
    "answer",
    [
        "\\frac{24}{36}", "\\dfrac{24}{36}", "24/36", "\\sqrt{50}+3!", "\\sqrt{50}", "3!",
        "(x+1)^2", "y=(x+1)^2", "f(x)=(x+1)^2", "$\\frac{24}{36}$", "\\frac {24} {36}",
    ],
)  # fmt: skip
def test_a_calculation_of_the_problem_is_copied(answer):
    assert is_copied(answer, PROBLEM, "7")


@pytest.mark.parametrize(
    "answer", ["n = 5", "5", "x", "2\\pi", "60^\\circ", "\\$4.50", "\\theta", "0", "f(x)"]
)
def test_a_number_or_a_variable_of_the_problem_is_not(answer):
    assert not is_copied(answer, PROBLEM, "7")


@pytest.mark.parametrize("answer", ["\\frac{2}{3}", "x^2+2x+1", "\\sqrt{50}+6", "5\\sqrt{2}"])
def test_what_does_not_stand_in_the_problem_is_not(answer):
    assert not is_copied(answer, PROBLEM, "7")


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("\\frac{24}{36}", "\\dfrac{24}{36}"),
        ("\\frac{24}{36}", "24 / 36"),
        ("(x+1)^2", "\\left(x+1\\right)^{2}"),
        ("y=(x+1)^2", "(x+1)^2"),
        ("(x+1)^2", "y = (x + 1)^2"),
    ],
)
def test_what_is_written_as_the_reference_is_not(answer, reference):
    assert not is_copied(answer, PROBLEM, reference)
