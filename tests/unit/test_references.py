"""Which reference answers can be read, and what happens to the children that read them."""

import logging
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.issuing import references
from services.issuing.references import EXPRESSION, TEXT, UNREADABLE, is_plain, read, read_answers

digits = st.text("0123456789", min_size=1, max_size=12)
divisors = digits.filter(lambda text: int(text) > 0)
numbers = st.one_of(
    digits,
    st.builds("{}.{}".format, digits, digits),
    st.integers(1000, 10**12).map("{:,}".format),
)
terms = st.builds(
    "{}{}".format,
    st.sampled_from(["", "-"]),
    st.one_of(
        numbers,
        st.builds("{}/{}".format, digits, divisors),
        st.builds(r"\frac{{{}}}{{{}}}".format, digits, divisors),
        st.builds(r"\dfrac{{-{}}}{{{}}}".format, digits, divisors),
        st.builds(r"{}\sqrt{{{}}}".format, st.one_of(st.just(""), digits), digits),
        st.builds(r"{} \pi".format, st.one_of(st.just(""), digits)),
    ),
)
lists = st.lists(terms, min_size=1, max_size=4).map(", ".join)


@settings(deadline=None)
@given(st.one_of(lists, lists.map("({})".format), lists.map("${}$".format)))
def test_what_is_taken_for_plain_is_an_expression_to_math_verify(answer):
    assert is_plain(answer)
    assert read(answer) == EXPRESSION


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "x",
        "1/",
        "(1",
        "1)",
        "1,",
        "1 2",
        "\\frac12",
        "9^9",
        "1,2345",
        "+1",
        ".5",
        "0/0",
        "7/00",
        r"\frac{1}{0}",
    ],
)
def test_the_rest_is_not_plain(answer):
    assert not is_plain(answer)


def test_telling_the_plain_takes_no_time_whatever_the_text():
    """A list of numbers can be read in many ways, of which no more than one is tried."""
    begun = time.process_time()
    for hostile in [
        "1,234" * 4000 + "x",
        "1" + ",234" * 4000 + "x",
        "9" * 20_000 + "x",
        "-" * 9999,
    ]:
        assert not is_plain(hostile)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("x^2+1", EXPRESSION),
        ("\\left(3, \\frac{\\pi}{2}\\right)", EXPRESSION),
        ("9^{9^{9^9}}", EXPRESSION),
        ("yes.", TEXT),
        ("0.\\overline{3}", TEXT),
        ("$$", UNREADABLE),
        ("\\text{}", UNREADABLE),
    ],
)
def test_math_verify_finds_an_expression_a_text_or_nothing(answer, found):
    assert read(answer) == found


def test_answers_are_read_by_children_and_the_faults_come_back():
    found = read_answers(["7", "x+1", "$$", "yes.", "$$"])
    assert found.unreadable == {"$$": UNREADABLE}
    assert found.texts == {"yes."}


def test_plain_answers_start_no_child(monkeypatch):
    monkeypatch.setattr(references, "_read_by_children", lambda answers: 1 / 0)
    assert read_answers(map(str, range(1000))).unreadable == {}


def stubborn(answer: str) -> str:
    if answer == "for ever":
        while True:
            time.sleep(1)
    if answer == "dies":
        os._exit(1)
    return EXPRESSION


def test_a_child_that_takes_too_long_or_dies_costs_its_answer_alone(monkeypatch):
    monkeypatch.setattr(references, "read", stubborn)
    monkeypatch.setattr(references, "DEADLINE_SECONDS", 15.0)  # a new child starts in that time
    found = read_answers(["a", "for ever", "b", "dies", "c"])
    assert found.unreadable == {
        "for ever": "math-verify reads its answer for more than 15 s",
        "dies": "math-verify dies of its answer",
    }


def test_without_math_verify_nothing_is_checked_and_it_is_said(monkeypatch, caplog):
    monkeypatch.setattr(references, "find_spec", lambda name: None)
    assert read_answers(["$$"]).unreadable == {}
    assert "are not checked: math-verify is not installed" in caplog.text
    caplog.clear()
    read_answers(["7"])
    assert caplog.text == ""


def test_of_many_the_first_are_checked_or_every_one_if_asked(monkeypatch, caplog):
    """Which they are depends on the data alone: it decides the order of the problems."""
    seen: list[list[str]] = []

    def reading(answers: list[str]) -> references.Readings:
        seen.append(answers)
        return references.Readings({}, set())

    monkeypatch.setattr(references, "_read_by_children", reading)
    monkeypatch.setattr(references, "MOST", 2)
    caplog.set_level(logging.INFO)
    read_answers(["x", "y", "x", "7", "z"])
    read_answers(["x", "y", "x", "7", "z"], every=True)
    assert seen == [["x", "y"], ["x", "y", "z"]]
    assert "of 3 answers that are not plain, 2 are checked" in caplog.text
