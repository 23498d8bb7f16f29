"""Does the learner's memory grow because something is never freed? `make bench-heap`; 8 minutes.

The trainer alone makes steps of the toy's size, on batches whose completions are as long as they
come: mostly 30 tokens, now and then up to 96. After each tenth of the steps, when none is under
way: what of the C heap is in use, what of it is freed and kept, and the resident memory, MiB.
What is never freed would be in use. The last line is JSON.
"""

import gc
import json
import random

import psutil

from openrs_core.memory import heap, keep_freed_memory
from openrs_core.recipe.file import load
from services.learner.step import Sequence
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.model.directory import model_directory

STEPS, LOOKS, COMPLETIONS, PROMPT = 3000, 10, 64, 22
MIB = 2**20


def main() -> None:
    """Make the steps, look, say."""
    keep_freed_memory()
    recipe = load("recipes/toy.toml")
    trainer, draw = DeepSpeedTrainer(recipe, model_directory(recipe)), random.Random(0)
    found: list[dict[str, float]] = []
    for number in range(1, STEPS + 1):
        batch = [sequence(length(draw), draw) for _ in range(COMPLETIONS)]
        trainer.train(batch, lr=1e-8)
        del batch
        if number % (STEPS // LOOKS) == 0:
            found.append({"step": number, **look()})
            print(found[-1], flush=True)
    print(json.dumps(found))


def length(draw: random.Random) -> int:
    """Of one completion, in tokens: as the toy's."""
    return draw.randint(40, 96) if draw.random() < 0.01 else draw.randint(9, 31)


def sequence(tokens: int, draw: random.Random) -> Sequence:
    """A completion of so many random tokens."""
    ids = tuple(draw.randrange(3, 250) for _ in range(PROMPT + tokens))
    advantage = draw.choice((-1.0, 1.0))
    return Sequence(ids[:PROMPT], ids[PROMPT:], (-1.0,) * tokens, advantage, 1 / 2000)


def look() -> dict[str, float]:
    """Sizes of this process, MiB."""
    gc.collect()
    now, resident = heap(), psutil.Process().memory_info().rss
    sizes = {"used": now.used, "kept": now.kept, "resident": resident}
    return {name: round(size / MIB, 1) for name, size in sizes.items()}


if __name__ == "__main__":
    main()
