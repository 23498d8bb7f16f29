"""Scoring as the harness would: what it credits, and what of it ours does not; real verifiers."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from openrs_core.recipe.scorer import ScorerSection
from openrs_core.wire.messages import Verdict
from services.scorer.harness import credit
from services.scorer.verifier import VerifierPool
from tests.benchmark_problems import benchmark_problems
from tests.builders import a_completion, a_prompt

pytestmark = pytest.mark.timeout(600)

CASES = json.loads((Path(__file__).parents[1] / "golden" / "harness.json").read_text())

CREDITED = {
    "credited by the harness alone": (False, True),
    "credited by openrs alone": (True, False),
    "credited by both": (True, True),
    "credited by neither": (False, False),
}
"""By openrs, by the harness."""

PROBLEM = "Simplify $\\sqrt{50}+\\sqrt{18}$."

ASKED_FOR = "Therefore, the final answer is: $\\boxed{%s}$. I hope it is correct."


@pytest.fixture(scope="module")
def pool():
    pool = VerifierPool(ScorerSection(workers=2, cpu_seconds=2.0, deadline_seconds=200.0))
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def credited(pool):
    """What both say of every case, by its words."""
    begun = {}
    for case in (case for cases in CASES.values() for case in cases):
        prompt = replace(a_prompt(), answer=case["reference"], problem=PROBLEM)
        completion = a_completion(case["completion"])
        both = pool.submit(completion, prompt), pool.submit_as_harness(completion, prompt)
        begun[case["what"]] = both
    return {
        what: tuple(verdict.result() == "correct" for verdict in both)
        for what, both in begun.items()
    }


def test_every_kind_of_case_is_there():
    assert set(CASES) == set(CREDITED)


@pytest.mark.parametrize(
    ("kind", "what"), [(kind, case["what"]) for kind in CASES for case in CASES[kind]]
)
def test_who_credits_what(credited, kind, what):
    assert credited[what] == CREDITED[kind]


def test_a_completion_that_costs_too_much_is_not_credited_and_the_others_are(pool):
    """Within the limits of a verdict; the harness gives up, too, and gives no credit."""
    prompt = replace(a_prompt(), answer="7")
    endless = pool.submit_as_harness(a_completion("\\boxed{9^{9^{9^{9}}}}"), prompt)
    opened = pool.submit_as_harness(a_completion("\\boxed{" * 100_000), prompt)
    assert pool.submit_as_harness(a_completion("\\boxed{7}"), prompt).result() == "correct"
    assert endless.result() == "timeout"
    assert opened.result() in set(get_args(Verdict)) - {"correct"}


def test_a_long_completion_is_read_to_its_end(pool):
    """32,768 tokens are some 100,000 characters."""
    prompt = replace(a_prompt(), answer="17")
    thought = "So $3 + 4 = 7$, and $\\frac{1}{2}$ of it is 3.5.\n" * 2500
    text = f"<think>\n{thought}</think>\n{ASKED_FOR % 17}"
    assert len(text) > 100_000
    assert pool.submit_as_harness(a_completion(text), prompt).result() == "correct"


def test_a_reference_that_cannot_be_read_is_compared_as_text(pool):
    assert pool.begin(credit, "\\boxed{}", "}", 5.0).result() == "incorrect"


def test_every_reference_of_the_benchmarks_in_its_own_box_is_right_for_both(pool):
    begun = []
    for problem in benchmark_problems():
        prompt = replace(a_prompt(), problem=problem.problem, answer=problem.answer)
        for form in ("\\boxed{%s}", ASKED_FOR):
            said = a_completion(form % problem.answer)
            begun.append((problem.name, form, "openrs", pool.submit(said, prompt)))
            begun.append((problem.name, form, "harness", pool.submit_as_harness(said, prompt)))
    wrong = [each[:3] for each in begun if each[3].result() != "correct"]
    assert len(begun) == 4 * 1547
    assert wrong == []


def test_the_gold_in_a_solution_is_our_answer_but_for_61_of_minerva_s():
    """The figure of docs/rewards.md: golds in Python, of which math-verify makes something else."""
    from math_verify import LatexExtractionConfig, parse, verify

    from services.scorer.harness import _gold

    problems = [p for p in benchmark_problems() if p.name.startswith("minerva/")]
    golds = [(p, parse(p.solution, [LatexExtractionConfig()])) for p in problems]
    misread = [p for p, gold in golds if not verify(gold, _gold(p.answer), float_rounding=5)]
    with_exponent = [p for p in misread if re.search(r"\\boxed\{[\d.]+e-?\d+\}", p.solution)]
    assert (len(problems), len(misread), len(with_exponent)) == (272, 61, 58)


def test_golds_that_the_harness_reads_as_expressions_are_the_same_in_a_box():
    """Open-RS read those of AIME and AMC so: a number is the same number either way."""
    from math_verify import ExprExtractionConfig, parse, verify

    from services.scorer.harness import _gold

    golds = [p.answer for p in benchmark_problems() if p.name.startswith(("aime", "amc"))]
    assert len(golds) == 100
    for gold in golds:
        bare = parse(gold, [ExprExtractionConfig()])
        assert bare[0] == _gold(gold)[0]
        assert verify(bare, _gold(gold), float_rounding=5)
