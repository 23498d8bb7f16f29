r"""What of a completion is its answer: the content of the last box after the thinking.

math-verify alone is too kind for a reward: it credits answers without a box, reads boxes inside
an unfinished thought, and finds the unevaluated question `8+9-4-6` equal to 7.
"""

import re

from openrs_core.boxed import last_box

THINK_START, THINK_END = "<think>", "</think>"
BOX = "\\boxed{"

# A power in an exponent, or factorials of factorials.
_TOWER = re.compile(r"(?:\^|\*\*)\s*[{(][^{}^*]*(?:\^|\*\*)|!\s*\)?\s*!\s*\)?\s*!")

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_OPERATION = re.compile(
    r"[\d)}!]\s*"
    r"(?:[-+*/\u00d7\u00f7\u00b7\u2212]|\^(?!\s*\{?\s*\\circ)|\\(?:times|cdot|div|pm)\b)"
    r"\s*(?:\\?[({]|[-+]?\s*\\?[\w.])"
)


def final_answer(text: str, finished: bool = True) -> str | None:
    """The last boxed answer after the thinking; None when there is none, or it is too long.

    A completion that was cut off (`finished` false) and never closed its thought has no answer,
    also where the prompt, not the completion, opened it.

    Example:
        final_answer("<think>\n8+9=17\n</think>\n\\boxed{17}")  # "17"
    """
    if THINK_END in text:
        text = text.rpartition(THINK_END)[2]
    elif THINK_START in text or not finished:
        return None  # still thinking when it was cut off
    return last_box(text)


def is_unevaluated(answer: str, reference: str) -> bool:
    """Is the answer a calculation where the reference is a plain number?"""
    if not _NUMBER.fullmatch(reference.strip().strip("$")):
        return False
    shown = answer.rpartition("=")[2].replace(",", "")
    return _OPERATION.search(shown) is not None


def is_tower(answer: str) -> bool:
    """May the answer stand for a number that no memory holds?"""
    return _TOWER.search(answer) is not None
