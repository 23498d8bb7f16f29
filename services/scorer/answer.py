r"""What of a completion is its answer: the boxes after the thinking.

math-verify alone is too kind for a reward: it credits answers without a box, and reads boxes inside
an unfinished thought.
"""

from openrs_core.boxed import LONGEST, boxes, last_box
from services.scorer.elements import elements

THINK_START, THINK_END = "<think>", "</think>"
BOX = "\\boxed{"


def final_answer(
    text: str, finished: bool = True, *, thought_open: bool = False, reference: str = ""
) -> str | None:
    r"""The last box after the thinking; None when there is none, or it is too long.

    A thought that was begun, by the completion or (`thought_open`) by the prompt, and not ended
    holds no answer; nor does a completion that was cut off (`finished` false) without an end of a
    thought. Where the reference is a list, as many boxes as it has elements are a list too: with
    any other number of boxes, the last one counts alone, so that trying several never pays.

    Example:
        final_answer("<think>\n8+9=17\n</think>\n\\boxed{17}")  # "17"
        final_answer(r"\boxed{2} or \boxed{3}", reference="2,3")  # "2, 3"
    """
    if THINK_END in text:
        text = text.rpartition(THINK_END)[2]
    elif thought_open or not finished:
        return None
    if THINK_START in text:
        return None
    return _list(text, len(elements(reference))) or last_box(text)


def _list(text: str, size: int) -> str | None:
    """The boxes as one list, where there are as many of them, of one element each."""
    if size < 2 or len(found := boxes(text)) != size or found[-1] != last_box(text):
        return None
    if any(len(elements(box)) > 1 for box in found):
        return None
    together = ", ".join(found)
    return together if len(together) <= LONGEST else None
