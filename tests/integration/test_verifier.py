"""math-verify in real child processes: whatever an answer does, it gets one verdict."""

import itertools
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from openrs_core import metrics
from openrs_core.recipe.scorer import ScorerSection
from services.scorer.comparison import compare
from services.scorer.limits import processor_time
from services.scorer.verifier import VerifierPool
from tests.builders import a_completion as said
from tests.builders import a_prompt
from tests.conftest import wait_until

pytestmark = pytest.mark.timeout(300)

CPU_SECONDS = 1.0


@pytest.fixture(scope="module")
def pool():
    """Two verifiers which may use a second of processor time for an answer."""
    pool = VerifierPool(ScorerSection(workers=2, cpu_seconds=CPU_SECONDS, deadline_seconds=200.0))
    yield pool
    pool.close()


def asked(reference: str, problem: str = "?", *, thought_open: bool = False):
    return replace(a_prompt(), answer=reference, problem=problem, thought_open=thought_open)


def verdict(pool: VerifierPool, answer: str, reference: str, problem: str = "?") -> str:
    boxed = said(f"<think>\n</think>\n\\boxed{{{answer}}}")
    return pool.submit(boxed, asked(reference, problem)).result()


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("7.0", "7"), ("\\frac{1}{2}", "0.5"), ("x^2+1", "1+x^2"), ("11\\sqrt2", "11\\sqrt{2}")],
)
def test_an_equal_answer_is_correct(pool, answer, reference):
    assert verdict(pool, answer, reference) == "correct"


@pytest.mark.parametrize("answer", ["8", "8+9-4-6", "-", "\\text{seven}", "12, 13"])
def test_another_answer_is_incorrect(pool, answer):
    assert verdict(pool, answer, "7") == "incorrect"


def test_a_formula_of_the_problem_is_incorrect_though_equal(pool):
    problem = "Simplify $\\sqrt{50} + \\sqrt{18}$."
    assert verdict(pool, "\\sqrt{50}+\\sqrt{18}", "8\\sqrt{2}", problem) == "incorrect"
    assert verdict(pool, "4\\sqrt{8}", "8\\sqrt{2}", problem) == "correct"


@pytest.mark.parametrize(
    ("text", "thought_open"),
    [("The answer is 7", False), ("so it is \\boxed{7}.", True), ("<think> \\boxed{7}", False)],
)
def test_without_a_box_after_the_thought_there_is_no_answer(pool, text, thought_open):
    assert pool.submit(said(text), asked("7", thought_open=thought_open)).result() == "no_answer"


def test_two_boxes_are_a_list_where_the_reference_is_one(pool):
    assert pool.submit(said("\\boxed{3} and \\boxed{2}"), asked("2,3")).result() == "correct"
    assert pool.submit(said("\\boxed{3} or \\boxed{5}"), asked("3")).result() == "incorrect"


@pytest.mark.parametrize("reference", ["", "7" * 2001])
def test_an_unreadable_reference_is_an_error_not_a_wrong_answer(pool, reference):
    assert verdict(pool, "7", reference) == "error"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("9^{9^{9^{9}}}", "\\sqrt{50}"),  # in native code, which hears no signal
        ("(a+b+c+d+e)^{100}", "(a+b+c+d)^{100}"),  # in Python
    ],
)
def test_an_endless_calculation_is_a_timeout_and_the_others_go_on(pool, answer, reference):
    endless = pool.submit(said(f"\\boxed{{{answer}}}"), asked(reference))
    assert verdict(pool, "\\frac{2}{4}", "0.5") == "correct"
    assert endless.result() == "timeout"


def test_native_code_that_burns_time_is_ended_by_the_kernel_and_not_tried_again(pool):
    before = metrics.VERIFIERS_KILLED._value.get()
    assert pool.begin(_burn_in_native_code, CPU_SECONDS).result() == "timeout"
    assert metrics.VERIFIERS_KILLED._value.get() == before + 1


def test_an_answer_that_eats_memory_is_a_timeout(pool):
    assert pool.begin(_eat_memory).result() == "timeout"
    assert verdict(pool, "\\frac{2}{4}", "0.5") == "correct"


def test_a_verifier_that_does_nothing_until_its_deadline_says_nothing_about_the_answer():
    """As one that gets no processor on a busy machine."""
    pool = VerifierPool(ScorerSection(workers=1, cpu_seconds=0.1, deadline_seconds=0.5))
    assert pool.begin(time.sleep, 3600).result() == "error"
    pool.close()


def test_an_answer_whose_verifier_is_killed_by_chance_gets_its_verdict_from_another(pool, tmp_path):
    mark = tmp_path / "was here"
    assert pool.begin(_die_once, mark, "\\frac{2}{4}", "0.5").result() == "correct"
    assert mark.exists()


def test_an_answer_of_which_two_verifiers_die_is_a_timeout(pool):
    others = [pool.submit(said(f"\\boxed{{{n}/4}}"), asked("0.5")) for n in range(1, 9)]
    assert pool.begin(_kill_self).result() == "timeout"
    assert [other.result() for other in others].count("correct") == 1
    assert {other.result() for other in others} == {"correct", "incorrect"}


def test_verifiers_that_are_killed_while_they_wait_are_replaced():
    pool = VerifierPool(ScorerSection(workers=1))
    for _ in range(2):
        child = pool.begin(os.getpid).result()
        os.kill(child, signal.SIGKILL)
        wait_until(lambda child=child: not psutil.pid_exists(child), "the end of the child", 60)
    assert verdict(pool, "\\frac{2}{4}", "0.5") == "correct"
    pool.close()


def test_closing_leaves_no_children():
    pool = VerifierPool(ScorerSection(workers=1))
    child = pool.begin(os.getpid).result()
    assert psutil.pid_exists(child)
    pool.close()
    wait_until(lambda: not psutil.pid_exists(child), "the end of the child", 60)


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(mark: Path, answer: str, reference: str) -> str:
    if not mark.exists():
        mark.touch()
        _kill_self()
    return compare(answer, reference, CPU_SECONDS)


def _burn_in_native_code(seconds: float) -> None:
    with processor_time(seconds):
        sum(itertools.repeat(1))


def _eat_memory() -> None:
    held = []
    while True:
        held.append(bytearray(1 << 26))
