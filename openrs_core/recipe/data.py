"""The section `data`: the problems, and how a prompt is made of one."""

from openrs_core.recipe.section import Section, Tokens


class DataSection(Section):
    """The problems, and how a prompt is made of one."""

    train: str
    """JSON-lines file, or Hugging Face hub id of a data set; `toy` is the embedded task."""
    held_out: str = ""
    """The problems of the evaluation, never trained on; the same forms. Empty: no evaluation."""
    problem_field: str = "problem"
    """Column with the problem's text."""
    answer_field: str = "answer"
    """Column with the reference answer."""
    system_prompt: str = ""
    """System message put before each problem; empty: none."""
    max_prompt_tokens: Tokens = 512
    """Problems whose rendered prompt is longer are left out, and counted."""
