"""Where the toy model is kept once it is made.

The place is OPENRS_CACHE, else XDG_CACHE_HOME/openrs, else ~/.cache/openrs; one directory per
seed, settings and making. Processes that need it at the same time wait for the one that makes it.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

from filelock import FileLock

from openrs_core.recipe.ring import RingRecipe
from services.toy.task import take

TOKENIZER_LINES = 2000

MAKERS = ("task.py", "tokenizer.py", "warm_start.py")
"""Whoever changes one of these makes other models: they are part of the cache's key."""


def cache_directory() -> Path:
    """The root of everything openrs keeps between runs."""
    base = os.environ.get("OPENRS_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "openrs"


def toy_directory(recipe: RingRecipe) -> Path:
    """Where this recipe's toy model is, or will be."""
    settings = json.dumps([recipe.seed, recipe.toy.model_dump()], sort_keys=True)
    made_by = b"".join((Path(__file__).parent / name).read_bytes() for name in MAKERS)
    return cache_directory() / f"toy-{hashlib.sha256(settings.encode() + made_by).hexdigest()[:12]}"


def ensure_toy(recipe: RingRecipe) -> Path:
    """The directory of the toy model (Hugging Face form), made first if it is not there."""
    target = toy_directory(recipe)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "config.json").exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _make(recipe, partial)
            partial.rename(target)
    return target


def _make(recipe: RingRecipe, directory: Path) -> None:
    import torch
    from transformers.utils import logging

    from services.toy.progress import shown
    from services.toy.tokenizer import train_tokenizer
    from services.toy.warm_start import warm_start

    problems = take("train", recipe.toy.terms, recipe.seed, TOKENIZER_LINES)
    lines = [f"user\n{p.problem}\nassistant\n{p.demonstration(careful=True, boxed=i % 2 == 0)}"
             for i, p in enumerate(problems)]  # fmt: skip
    tokenizer = train_tokenizer(lines)
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed's probe warns on the screen
    logging.disable_progress_bar()  # the warm start has its own
    torch.set_num_threads(1)  # two spin each other to a standstill on a busy machine
    with shown() as progress:
        model = warm_start(recipe.toy, tokenizer, recipe.seed, progress)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
