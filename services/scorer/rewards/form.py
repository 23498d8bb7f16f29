r"""Rewards of the form of a completion: what stands where, whatever it says."""

import re

from services.scorer.answer import BOX, THINK_END, THINK_START

_ONE_THINK_END = "\n</think>\n"

_TAGS = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")

ENOUGH_STEPS = 3
"""Step markers from which on there is nothing more to gain."""

_STEP = re.compile(r"\bStep [0-9]+:|^[0-9]+\.|^[-*]|\b(?:First|Second|Next|Finally),", re.MULTILINE)


def has_format(text: str, form: str) -> bool:
    """Is the completion in the expected form?"""
    if form == "one_think_end":
        return text.count(_ONE_THINK_END) == 1
    thought, end, rest = text.removeprefix(THINK_START).partition(THINK_END)
    between, box, content = rest.partition(BOX)
    tags = (thought + between).count(THINK_START) + between.count(THINK_END)
    return bool(end and box) and tags == 0 and content.rfind("}") > 0


def tag_count(text: str) -> float:
    r"""A quarter for each tag that is there exactly once, in its place on a line; from 0 to 1.

    The tags are `<think>` before a newline, `</think>` and `<answer>` between two, and `</answer>`
    after one: open-r1's `tag_count_reward`. Where the prompt opens the thought, the first
    quarter is out of reach.
    """
    return sum(text.count(tag) == 1 for tag in _TAGS) / len(_TAGS)


def reasoning_steps(text: str) -> float:
    """min(1, n / 3) for n markers of a step; from 0 to 1.

    Markers are `Step 1:`, a number with a point or a list's `-` or `*` at the beginning of a line,
    and `First,`, `Second,`, `Next,`, `Finally,`. After open-r1's `reasoning_steps_reward`, which
    counts a number with a point at the beginning of the text alone.
    """
    return min(1.0, sum(1 for _ in _STEP.finditer(text)) / ENOUGH_STEPS)
