"""Between a sampler's token ids and text: where a completion ends, and what it says."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""What rewards look for in a completion; some models have special tokens for them."""


class Text:
    """Turns token ids into text: without special tokens, but with the tags."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        special = {number for number, token in added.items() if token.special}
        tags = {number for number, token in added.items() if token.content in TAGS}
        self._hidden = (special | set(tokenizer.all_special_ids)) - tags

    def of(self, token_ids: Iterable[int]) -> str:
        """The text of a completion."""
        shown = [token for token in token_ids if token not in self._hidden]
        text: str = self._tokenizer.decode(shown, skip_special_tokens=False)
        return text


def stop_token_ids(directory: str | Path, tokenizer: Any) -> list[int]:
    """Where a completion ends: at the tokenizer's end of sequence and at those the model names.

    A chat model may have several, in its generation_config.json; one that is missed lets a
    completion run on to its longest.
    """
    path = Path(directory) / "generation_config.json"
    named = json.loads(path.read_text()).get("eos_token_id") if path.is_file() else None
    several: Sequence[int | None] = named if isinstance(named, list) else [named]
    found = dict.fromkeys([tokenizer.eos_token_id, *several])
    return [token for token in found if token is not None]
