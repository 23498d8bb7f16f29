"""math-verify in real child processes: whatever an answer does, it gets one verdict."""

import os
import signal
from pathlib import Path

import pytest

from openrs_core.recipe.scorer import ScorerSection
from services.scorer.verifier import VerifierPool, verdict_of
from tests.builders import a_completion as said

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def pool():
    """Two verifiers with a short deadline."""
    pool = VerifierPool(ScorerSection(workers=2, deadline_seconds=8.0))
    yield pool
    pool.close()


def verdict(pool: VerifierPool, answer: str, reference: str) -> str:
    return verdict_of(pool.submit(said(f"<think>\n</think>\n\\boxed{{{answer}}}"), reference))


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("7", "7"),
        ("7.0", "7"),
        ("\\frac{1}{2}", "0.5"),
        ("\\frac12", "\\frac{1}{2}"),
        ("x^2+1", "1+x^2"),
        ("11\\sqrt2", "11\\sqrt{2}"),
        ("\\left(3, \\frac{\\pi}{2}\\right)", "\\left( 3, \\frac{\\pi}{2} \\right)"),
        ("033", "33"),
    ],
)
def test_an_equal_answer_is_correct(pool, answer, reference):
    assert verdict(pool, answer, reference) == "correct"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("8", "7"), ("8+9-4-6", "7"), ("", "7"), ("-", "7"), ("\\text{seven}", "7"), ("12, 13", "12")],
)
def test_another_answer_is_not(pool, answer, reference):
    assert verdict(pool, answer, reference) in ("incorrect", "no_answer")


def test_an_answer_without_a_box_is_no_answer(pool):
    assert verdict_of(pool.submit(said("<think>\n</think>\nThe answer is 7"), "7")) == "no_answer"


def test_an_unreadable_reference_is_an_error_not_a_wrong_answer(pool):
    assert verdict(pool, "7", "") == "error"


def test_an_endless_calculation_is_a_timeout_and_the_others_go_on(pool):
    endless = pool.submit(said("\\boxed{9^{9^{9^{9}}}}"), "9^{9^{9^{8}}}")
    assert verdict(pool, "\\frac{2}{4}", "0.5") == "correct"
    assert verdict_of(endless) in ("timeout", "error")


def test_a_verifier_that_dies_is_an_error_and_is_replaced(pool):
    """The child is killed from inside, as a crash in native code would."""
    assert verdict_of(pool._pool.schedule(_kill_self)) == "error"
    assert verdict(pool, "\\frac{2}{4}", "0.5") == "correct"


def test_a_verifier_past_its_deadline_is_killed(pool):
    hanging = pool._pool.schedule(_hang, timeout=0.5)
    assert verdict_of(hanging) == "timeout"


def test_closing_leaves_no_children():
    pool = VerifierPool(ScorerSection(workers=1))
    assert verdict(pool, "\\frac{2}{4}", "0.5") == "correct"
    pool.close()
    ours = [p for p in Path("/proc").glob("[0-9]*/stat") if _parent_of(p) == os.getpid()]
    commands = [(p.parent / "cmdline").read_text() for p in ours if p.exists()]
    assert not [c for c in commands if "spawn_main" in c]


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    while True:
        pass


def _parent_of(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
