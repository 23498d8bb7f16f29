"""What is right and what is not, as a careful reader would say (real verifiers)."""

from dataclasses import replace

import pytest

from openrs_core.recipe.scorer import ScorerSection
from services.scorer.verifier import VerifierPool
from tests.builders import a_completion, a_prompt

pytestmark = pytest.mark.timeout(300)

RIGHT = {
    "7": ["7", "7.0", "+7", "(7)", "$7$", "x=7", "8-1=7", "7^\\circ", "\\text{7}", "\\mathbf{7}",
          "7\\text{ apples}", "7\\%", "007",
          "7.", "\\textbf{(7) }", "\\textbf{7}"],
    "120": ["120\\text{ cm}^2", "120\\ \\mathrm{cm}^{2}", "\\$120", "120.0", "1.2\\times10^2"],
    "9.8": ["9.8\\ \\text{m/s}^2", "\\frac{49}{5}", "9\\frac{4}{5}"],
    "10": ["10\\text{ m}^3", "10\\,\\mathrm{kg\\cdot m/s^2}", "10 \\text{ miles per hour}"],
    "0.5": ["1/2", "\\frac{1}{2}", "\\frac12", "2/4", "50\\%", ".5"],
    "2.4": ["12/5", "2\\frac{2}{5}"],
    "3.5": ["3\\frac{1}{2}", "\\frac{7}{2}"],
    "48000": ["4.8\\times 10^{4}", "4.8\\cdot10^4", "48,000", "48{,}000", "4.8e4"],
    "0.001": ["10^{-3}", "1\\times10^{-3}"],
    "4.5e33": ["4.5\\times 10^{33}"],
    "1.6 \\times 10^{-19}": ["1.6e-19", "1.60\\times10^{-19}"],
    "\\frac{1}{3}": ["0.333333", "\\frac{2}{6}"],
    "-\\frac{1}{2}": ["-0.5", "\\frac{-1}{2}", "-1/2"],
    "50\\%": ["50", "0.5", "50\\%"],
    "90^\\circ": ["90", "90^{\\circ}", "90 \\text{ degrees}"],
    "2516_8": ["2516_{8}"],
    "2,3": ["3,2", "\\{2,3\\}", "2 \\text{ and } 3", "x=2, x=3"],
    "(1, 2)": ["(1,2)", "\\left(1,2\\right)", "(1.0, 2)"],
    "[0, 1)": ["[0,1)", "\\left[0,1\\right)"],
    "(-\\infty, 1) \\cup (2, \\infty)": ["(-\\infty,1)\\cup(2,\\infty)"],
    "2\\sqrt{3}": ["\\sqrt{12}", "2\\sqrt3"],
    "\\frac{\\pi}{4}": ["\\pi/4", "\\frac{1}{4}\\pi"],
    "x^2+1": ["1+x^2", "f(x)=x^2+1"],
    "\\text{(C)}": ["C", "\\text{C}", "\\textbf{(C)}"],
    "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}": ["\\begin{pmatrix}1\\\\2\\end{pmatrix}"],
}  # fmt: skip

WRONG = {
    "120": ["5!", "\\frac{240}{2}", "240/2", "\\sqrt{14400}", "\\binom{10}{3}", "100+20",
            "12\\times10"],
    "3": ["\\log_2 8", "3 or 5", "3 \\text{ or } 5", "\\{3,5\\}", "3,5", "\\pm3", "3!/2"],
    "5": ["\\pm5", "2(3)", "\\max(2,5)", "x^2", "5i"],
    "6": ["\\gcd(12,18)", "3!", "2(3)", "\\sum_{k=1}^{3}k"],
    "7": ["\\lfloor7.5\\rfloor", "8+9-4-6", "7=8-1", "14/2", "7+0", "1\\cdot 7",
          "\\left|-7\\right|", "7\\pmod{10}", "\\text{seven}", "8", "x+7-x", "-", "\\frac{7}{1}"],
    "1": ["e^0", "\\cos(0)", "\\sin^2 x+\\cos^2 x"],
    "0.75": ["\\frac{1.5}{2}", "1-\\frac14"],
    "3.5": ["3+\\frac12"],
    "\\frac{1}{3}": ["0.33", "1-\\frac{2}{3}"],
    "1.6e-19": ["0", "2e-19", "1.6\\times10^{-18}"],
    "0.00000016": ["0", "0.00000026"],
    "2,3": ["2", "2,3,5", "1+1,9-6"],
    "(2,3)": ["(3,2)", "(1+1,3)", "[2,3]"],
    "[0, 1)": ["(0,1)", "[0,1]"],
    "2\\sqrt{3}": ["2\\sqrt{2}", "3.46"],
    "\\text{(C)}": ["D", "\\text{(A)}"],
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts():
    """The verdicts on all of them, by answer and reference."""
    pool = VerifierPool(ScorerSection(workers=2, deadline_seconds=200.0))
    begun = {}
    for reference, answer in pairs(RIGHT) + pairs(WRONG):
        prompt = replace(a_prompt(), answer=reference)
        begun[reference, answer] = pool.submit(a_completion(f"\\boxed{{{answer}}}"), prompt)
    found = {pair: verdict.result() for pair, verdict in begun.items()}
    pool.close()
    return found


def pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(reference, answer) for reference, answers in table.items() for answer in answers]


@pytest.mark.parametrize(("reference", "answer"), pairs(RIGHT))
def test_an_answer_that_a_careful_reader_accepts_is_correct(verdicts, reference, answer):
    assert verdicts[reference, answer] == "correct"


@pytest.mark.parametrize(("reference", "answer"), pairs(WRONG))
def test_a_wrong_answer_a_hedge_or_a_calculation_is_not(verdicts, reference, answer):
    assert verdicts[reference, answer] == "incorrect"
