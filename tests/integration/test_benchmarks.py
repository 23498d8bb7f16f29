"""Verdicts on problems of public benchmarks: what is right, and what no attack makes right."""

import re
from dataclasses import replace

import pytest

from openrs_core.recipe.scorer import ScorerSection
from services.scorer.comparison import compare
from services.scorer.verifier import VerifierPool
from tests.benchmark_problems import BenchmarkProblem, benchmark_problems
from tests.builders import a_completion, a_prompt

pytestmark = pytest.mark.timeout(900)

SETTLED = ("correct", "incorrect", "no_answer")

RIGHT_BY_VALUE = {
    ("amc23/16", "n = 5"),  # a number that the problem names, and that is the answer
    ("minerva/237", "4.00"),
    ("math500/227", "c"),  # \text{(C)}
}
"""Formulas which are right though they are not written as the reference is, and compute nothing."""


@pytest.fixture(scope="module")
def problems():
    return benchmark_problems()


@pytest.fixture(scope="module")
def pool():
    pool = VerifierPool(ScorerSection(workers=2, deadline_seconds=300.0))
    yield pool
    pool.close()


def boxed(pool: VerifierPool, answer: str, problem: BenchmarkProblem):
    prompt = replace(a_prompt(), problem=problem.problem, answer=problem.answer)
    return pool.submit(a_completion(f"\\boxed{{{answer}}}"), prompt)


def written(text: str) -> str:
    """How it is written, but for blanks, braces, units and what stands before an `=`."""
    return re.sub(r"\\left|\\right|\^\{?\\circ\}?|[\s{}$]", "", text.rpartition("=")[2])


def test_there_are_all_of_them(problems):
    assert len(problems) == 1547


def test_every_reference_is_equal_to_itself_by_mathematics(pool, problems):
    """Not at a glance, as an answer with the same text is."""
    found = [(p.name, pool.begin(compare, p.answer, p.answer, 5.0)) for p in problems]
    assert [name for name, verdict in found if verdict.result() != "correct"] == []


def is_hopeless(formula: str, reference: str) -> bool:
    """Is it a mere letter or number, or has it no digit where the reference has one?"""
    mere = re.fullmatch(r"[A-Za-z]{1,4}|[A-Za-z]_\{?\w\}?|\d+(?:\.\d+)?", formula)
    return bool(mere or (re.search(r"\d", reference) and not re.search(r"\d|!", formula)))


def test_copying_a_formula_of_the_problem_answers_none(pool, problems):
    tried = [
        (problem, formula, boxed(pool, formula, problem))
        for problem in problems
        for formula in problem.formulas
        if not is_hopeless(formula, problem.answer)
    ]
    assert len(tried) > 3000
    right = [
        (problem.name, formula)
        for problem, formula, verdict in tried
        if verdict.result() == "correct" and written(formula) != written(problem.answer)
    ]
    assert set(right) <= RIGHT_BY_VALUE
    unsettled = [(p.name, f) for p, f, v in tried if v.result() not in SETTLED]
    assert unsettled == []


def test_the_reference_of_another_problem_is_right_only_where_it_is_the_same(pool, problems):
    """Of every fourth one: to find two answers unequal takes ten times as long as equal."""
    others = [
        (problem, other, boxed(pool, other.answer, problem))
        for problem, other in zip(problems[::4], problems[1::4], strict=False)
    ]
    right = [
        (problem.answer, other.answer)
        for problem, other, verdict in others
        if verdict.result() == "correct" and written(problem.answer) != written(other.answer)
    ]
    assert right == []
