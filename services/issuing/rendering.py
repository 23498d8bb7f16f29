"""How a problem becomes the tokens of a prompt: the model's own chat template.

Rendering 300,000 problems takes a minute. So it is done when a problem is issued, and before that
only for those that may be too long.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from openrs_core.errors import RunError
from openrs_core.recipe.data import PROBLEM, PromptSection

Message = dict[str, str]
"""One turn of a conversation: who says what."""

THINK_START = "<think>"

LONGEST_WORD = 64
"""Bytes of the template's words that touch the problem, and may be cut otherwise because of it."""


class Tokenizer(Protocol):
    """What of a tokenizer is used here."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Messages -> token ids, or their text."""


def conversation(data: PromptSection, problem: str) -> list[Message]:
    """What is asked: the system message and the examples, if there are any, then the problem."""
    return [*_earlier_turns(data), _asked(data, problem)]


def _earlier_turns(data: PromptSection) -> Iterator[Message]:
    if data.system_prompt:
        yield {"role": "system", "content": data.system_prompt}
    for example in data.examples:
        yield _asked(data, example.problem)
        yield {"role": "assistant", "content": example.answer}


def _asked(data: PromptSection, problem: str) -> Message:
    return {"role": "user", "content": data.user_prompt.replace(PROBLEM, problem)}


class Renderer:
    """Turns texts of problems into token ids, as a recipe's `data` asks for."""

    def __init__(self, data: PromptSection, tokenizer: Tokenizer) -> None:
        """Try it on a problem.

        Raises:
            RunError: the model's tokenizer has no chat template, or one that makes nothing of it.
        """
        self._data, self._tokenizer = data, tokenizer
        if not self._tried("1"):
            raise RunError(
                "model.path: its tokenizer makes no token of a problem; are its files there?"
            )
        self.thought_open = self._opens_thought()
        """Do the prompts end inside a thought, as the template of DeepSeek-R1 makes them?"""
        self._times = data.user_prompt.count(PROBLEM)
        around = len(self._tried("")) + LONGEST_WORD * self._times
        self._surely_short = data.max_prompt_tokens - around

    def tokens(self, problem: str) -> tuple[int, ...]:
        """The prompt [P]."""
        return tuple(self._rendered(problem, tokenize=True, return_dict=False))

    def is_too_long(self, problem: str) -> bool:
        """Has the prompt more tokens than may be?

        A token stands for at least one byte, so few bytes need no count: what the template puts
        around them costs as much as around an empty problem, but for the words that touch it.
        """
        if len(problem.encode()) * self._times <= self._surely_short:
            return False
        return len(self.tokens(problem)) > self._data.max_prompt_tokens

    def _opens_thought(self) -> bool:
        text: str = self._rendered("1", tokenize=False)
        return text.rstrip().endswith(THINK_START)

    def _rendered(self, problem: str, **options: Any) -> Any:
        messages = conversation(self._data, problem)
        return self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, **options)

    def _tried(self, problem: str) -> tuple[int, ...]:
        from jinja2 import TemplateError

        try:
            return self.tokens(problem)
        except (TemplateError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise RunError(
                f"model.path: its chat template renders no prompt ({reason}); give a model whose "
                "tokenizer has one, or mend data.system_prompt where it takes none"
            ) from error
