"""The section `data`: which problems, and how a prompt is made of one."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, field_validator, model_validator

from openrs_core.recipe.section import Section, Tokens

SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet")
"""Files that are read."""

PROBLEM = "{problem}"
"""Stands for the problem's text in a prompt."""

_WORD = r"(\w[\w.-]*)"
_PART = r"\w[\w.-]*(?:\[-?\d*%?:-?\d*%?\])?"
_HUB = re.compile(rf"(\w[\w.-]*/\w[\w.-]*)(?:/{_WORD})?(?::({_PART}(?:\+{_PART})*))?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where problems are read from.

    Example:
        source("openai/gsm8k/main:test")  # Source("hub", "openai/gsm8k", "main", "test")
    """

    kind: Literal["toy", "file", "hub"]
    name: str
    """The file's path, or the data set's id."""
    config: str = ""
    """Of a data set that has several; empty: its only one."""
    split: str = ""
    """Of a data set, or slices of its splits, as `datasets` writes them; empty: the one that goes
    with what it is for."""

    @property
    def splits(self) -> list[str]:
        """The splits that `split` takes from."""
        return [part.partition("[")[0] for part in self.split.split("+") if part]


def source(text: str) -> Source:
    """What `data.train` or `data.held_out` says.

    Raises:
        ValueError: it has none of the forms.
    """
    if text == "toy":
        return Source("toy", text)
    if text.endswith(SUFFIXES):
        return Source("file", text)
    if found := _HUB.fullmatch(text):
        return Source("hub", *(part or "" for part in found.groups()))
    raise ValueError(
        f"give a file ({', '.join(SUFFIXES)}), a hub data set owner/name or owner/name:split "
        "(owner/name/config:split where it has several; split may be slices: train[:100]), or toy"
    )


def _checked(text: str) -> str:
    source(text)
    return text


def _checked_or_empty(text: str) -> str:
    return _checked(text) if text else text


def is_trained_on(train: str, other: str) -> bool:
    """Are two names those of the same problems? The toy's two halves differ by themselves."""
    ours, theirs = source(train), source(other)
    if ours.kind == "hub":
        ours = replace(ours, split=ours.split or "train")
    return ours == theirs and ours.kind != "toy"


Checked = Annotated[str, AfterValidator(_checked)]
"""The name of a source, in one of the forms that `source` knows."""

CheckedOrEmpty = Annotated[str, AfterValidator(_checked_or_empty)]


class Example(Section):
    """A problem that is shown before the one to be solved, and its answer."""

    problem: str
    answer: str
    """As the model is to write it, box and all."""


class PromptSection(Section):
    """What of a row is used, and how a prompt is made of it."""

    problem_field: str = "problem"
    """Column with the problem's text."""
    answer_field: str = "answer"
    r"""Column with the reference answer, or with a worked solution whose last `\boxed` is one."""
    system_prompt: str = ""
    """System message put before each problem; empty: none."""
    user_prompt: str = PROBLEM
    """The user's message; `{problem}` in it, wherever it stands, becomes the problem's text."""
    examples: tuple[Example, ...] = ()
    """Shown before each problem, as earlier turns of the conversation."""
    max_prompt_tokens: Tokens = 512
    """Problems whose rendered prompt is longer are left out, and counted."""
    strict: bool = False
    """Whether a row that cannot be used ends the run; otherwise it is left out, and counted."""

    @field_validator("user_prompt")
    @classmethod
    def _holds_problem(cls, text: str) -> str:
        """Refuse a message that would be the same for every problem."""
        if PROBLEM not in text:
            raise ValueError(f"it has no {PROBLEM}, so no problem would be asked; put it in")
        return text


class DataSection(PromptSection):
    """The problems that are trained on and held out, and how a prompt is made of one."""

    train: Checked
    """A `.jsonl`, `.json` (both also `.gz`) or `.parquet` file, a hub data set `owner/name` or
    `owner/name:split` (without one: `train`; slices: `train[100:]`); `toy` is the embedded task."""
    held_out: CheckedOrEmpty = ""
    """The problems of the evaluation, never trained on; the same forms. A hub data set without a
    split: `test`, else `validation`. Empty: no evaluation."""

    @model_validator(mode="after")
    def _apart(self) -> "DataSection":
        """Refuse to evaluate on what is trained on; the toy's two halves differ by themselves."""
        if self.held_out and is_trained_on(self.train, self.held_out):
            raise ValueError(
                f"held_out is {self.held_out!r}, which is trained on (train = {self.train!r}); "
                "name other problems, or none"
            )
        return self
