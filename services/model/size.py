"""How large a model is, by its configuration."""

import json
from pathlib import Path


def vocabulary_size(directory: str) -> int:
    """Rows of the model's embedding; 2**31 where the configuration does not say."""
    path = Path(directory) / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    return int((config.get("text_config") or config).get("vocab_size", 2**31))
