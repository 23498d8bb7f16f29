"""How large a model is, by its configuration."""

import json
from pathlib import Path


def vocabulary_size(directory: str) -> int:
    """Rows of the model's embedding; 2**31 where the configuration does not say."""
    return _number(directory, "vocab_size")


def longest_context(directory: str) -> int:
    """Tokens it was made for, prompt and completion; 2**31 where the configuration does not say."""
    return _number(directory, "max_position_embeddings")


def _number(directory: str, key: str) -> int:
    path = Path(directory) / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    return int((config.get("text_config") or config).get(key) or 2**31)
