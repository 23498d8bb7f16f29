"""An evaluated number, and what only has its value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.number import are_numbers, is_number, scientific

NUMBERS = [
    "7", "-7", "+7", "7.0", ".5", "033", "1,007", "1{,}007", "$7$", "\\$18.90", "7^\\circ",
    "7^{\\circ}", "50\\%", "50%", "x=7", "8-1=7", "\\text{7}", "\\mathbf{7}", "2516_8", "1011_{2}",
    "1/2", "-1/2", "12/5", "2/4", "\\frac{1}{2}", "\\frac12", "-\\dfrac{3}{4}", "3\\frac{1}{2}",
    "4.8\\times 10^{4}", "4.8\\cdot10^4", "-1.5\\times10^{-3}", "10^{4}", "2:3", "3.14\\ldots",
    "120\\text{ cm}^2", "9.8\\ \\text{m/s}^2", "10\\text{ m}^3", "10\\ \\mathrm{m}^{3}",
    "5\\text{ m s}^{-1}", "\\frac{1}{2}\\text{ cm}",
]  # fmt: skip
CALCULATIONS = [
    "8+9-4-6", "8 + 9", "3\\times 4", "2^{3}", "14/2", "(8)-(1)", "7=8-1", "5!", "\\frac{240}{2}",
    "\\frac{7}{1}", "\\frac{0}{5}", "\\frac{1}{0}", "2\\frac{4}{3}", "\\sqrt{14400}",
    "\\binom{10}{3}", "\\log_2 8", "\\gcd(12,18)", "\\lfloor7.5\\rfloor", "e^0", "\\pi", "x", "",
    "\\frac{1.5}{2}", "\\frac{10^3}{2}", "6\\div 2", "2(3)", "|7|", "7+0", "1\\cdot7", "3 or 5",
    "\\pm5", "2\\times10^2+0",
]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_evaluated(text):
    assert is_number(text)


@pytest.mark.parametrize("text", CALCULATIONS)
def test_a_calculation_is_not(text):
    assert not is_number(text)


@pytest.mark.parametrize(
    "text", ["2,3", "(2,3)", "[0, 0.5)", "\\{1,2\\}", "\\left(1,\\frac{1}{2}\\right)", "x=1, y=2"]
)
def test_lists_sets_tuples_and_intervals_are_numbers_where_their_elements_are(text):
    assert are_numbers(text)
    assert not are_numbers(text.replace("1", "1+0").replace("3", "1+2").replace("0.5", "1/1"))


@given(st.integers(), st.integers(1, 10**6))
def test_a_fraction_is_evaluated_unless_its_value_is_an_integer(over, under):
    assert is_number(f"{over}/{under}") == (over % under != 0)
    assert is_number(f"\\frac{{{over}}}{{{under}}}") == (over % under != 0)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.integers(-300, 300))
def test_a_multiple_of_a_power_of_ten_is_written_as_python_writes_it(number, power):
    text = f"{number:f} \\times 10^{{{power}}}"
    assert is_number(text)
    assert scientific(text) == f"{number:f}e{power}"
