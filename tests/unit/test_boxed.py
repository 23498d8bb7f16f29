"""What of a text stands in a box."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.boxed import LONGEST, boxes, last_box

TABLE = [
    (r"\boxed{7}", ["7"]),
    (r"so \boxed{ \frac{1}{2} }.", [r"\frac{1}{2}"]),
    (r"\boxed{2} and \boxed{3}", ["2", "3"]),
    (r"$\boxed 5$", ["5"]),
    (r"\boxed 42, as before", ["42"]),
    (r"\boxed {x}", ["x"]),
    (r"\boxed{\{1,2\}}", [r"\{1,2\}"]),
    (r"\boxed{\boxed{7}}", ["7"]),
    (r"\boxed{1} \boxed{", ["1"]),
    (r"\boxed{}", []),
    (r"\boxed", []),
    (r"\boxedtext", []),
    ("7", []),
    (r"\boxed{" + "1" * LONGEST + "}", ["1" * LONGEST]),
    (r"\boxed{" + "1" * (LONGEST + 1) + "}", []),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_boxes_are_read_as_a_person_would(text, expected):
    assert boxes(text) == expected


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_the_last_box_is_the_last_of_them_unless_it_is_broken(text, expected):
    broken = text.endswith("\\boxed{")
    assert last_box(text) == (expected[-1] if expected and not broken else None)


@given(
    st.lists(st.sampled_from(["\\boxed{", "\\boxed ", "}", "{", "\\", "1", " ", "$"]), max_size=40)
)
def test_whatever_the_text_every_box_is_a_part_of_it(pieces):
    text = "".join(pieces)
    assert all(box in text for box in boxes(text))
    assert last_box(text) in (*boxes(text), None)


def test_a_box_may_hold_whatever_braces_balance():
    assert last_box(r"\boxed{a{b{c}}d}") == "a{b{c}}d"
