"""The files of an exported model: what transformers and vLLM load, and no trace of this machine."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Dtype = Literal["float32", "bfloat16", "float16"]

CONFIG, GENERATION, TOKENIZER = "config.json", "generation_config.json", "tokenizer_config.json"
INDEX = "model.safetensors.index.json"

PLACES = ("_name_or_path", "name_or_path", "tokenizer_file", "vocab_file", "merges_file")
"""Keys in which libraries write where on this machine something lay."""

LOADING = ("is_local", "local_files_only", "_from_model_config")
"""Keys that say how a library came by a file, which is nobody's business."""


def write_model(
    source: Path, target: Path, dtype: Dtype | None, defaults: Mapping[str, Any]
) -> None:
    """Write a model's directory anew: weights as `dtype` (None: as they are), settings made clean.

    `defaults` are those of generation that others should begin with; what the base model says
    beside them, its end-of-sequence tokens above all, stays.
    """
    target.mkdir(parents=True)
    kept = [path for path in sorted(source.iterdir()) if path.is_file()]
    for path in kept:
        if dtype is None or path.suffix != ".safetensors":
            shutil.copyfile(path, target / path.name)
    if dtype is not None:
        _cast(source, target, dtype)
    _mend(target / CONFIG, {"use_cache": True} | ({"dtype": dtype} if dtype else {}))
    _mend(target / GENERATION, dict(defaults))
    if (target / TOKENIZER).is_file():
        _mend(target / TOKENIZER, {})


def dtype_of(model: Path) -> str:
    """The type of a model's weights by its configuration; `auto` where that does not say."""
    table = json.loads((model / CONFIG).read_text())
    return str(table.get("dtype") or table.get("torch_dtype") or "auto")


def _cast(source: Path, target: Path, dtype: Dtype) -> None:
    from services.model.cast import cast_weights  # imports torch

    size = cast_weights(source, target, dtype)
    if (index := target / INDEX).is_file():
        table = json.loads(index.read_text())
        table.setdefault("metadata", {})["total_size"] = size
        index.write_text(json.dumps(table, indent=2) + "\n")


def _mend(path: Path, values: dict[str, Any]) -> None:
    """Set values in a JSON file, which need not be there yet, and take out what is of here."""
    table = json.loads(path.read_text()) if path.is_file() else {}
    cleaned = _clean(table, values) | values
    path.write_text(json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _clean(table: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Without places; with the values also where a part of the model has them by itself."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key in PLACES or key in LOADING:
            continue
        if isinstance(value, dict):
            value = _clean(value, values)
        elif key in ("dtype", "torch_dtype"):
            value = values.get("dtype", value)
        elif key == "use_cache":
            value = True
        found[key] = value
    return found
