"""The tokenizer in a model's directory."""

from typing import Any


def tokenizer_of(directory: str) -> Any:
    """What turns texts into tokens and back, as transformers loads it; it brings no code.

    Raises:
        OSError, ValueError: there is none.
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
