"""Does the learner's memory grow with its steps, or up to its largest batch? `make bench-heap`.

The trainer alone makes steps of the toy's size, on batches whose completions are as long as they
come: mostly 30 tokens, now and then up to 96. Three times, each in a process of its own:

    kept         freed memory is kept, as in the learner
    given back   glibc's own way: large blocks go back to the kernel
    by size      kept, and the same batches in the order of their size, the largest first

Memory that grows with the steps grows in all three. A high-water mark rises in stairs in the first,
and is reached at once in the third. Prints the resident memory after each tenth of the steps, MiB,
and JSON as the last line.
"""

import json
import random
import subprocess
import sys

import psutil

from openrs_core.memory import keep_freed_memory
from openrs_core.recipe.file import load
from services.learner.step import Sequence
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.model.directory import model_directory

STEPS, LOOKS, COMPLETIONS, PROMPT = 3000, 10, 64, 22
WAYS = ("kept", "given back", "by size")


def main() -> None:
    """Each way in a process of its own."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    found = {}
    for way in WAYS:
        done = subprocess.run(
            [sys.executable, __file__, way], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr)
        found[way] = json.loads(done.stdout.splitlines()[-1])
        print(f"{way:>10}", *(f"{size:7.1f}" for size in found[way]))
    print(json.dumps(found))


def measure(way: str) -> list[float]:
    """Resident MiB after each tenth of the steps, and before the first."""
    if way != "given back":
        keep_freed_memory()
    recipe = load("recipes/toy.toml")
    trainer = DeepSpeedTrainer(recipe, model_directory(recipe))
    draw = random.Random(0)
    lengths = [[length(draw) for _ in range(COMPLETIONS)] for _ in range(STEPS)]
    if way == "by size":
        lengths.sort(key=sum, reverse=True)
    sizes = [resident()]
    for number, batch in enumerate(lengths, start=1):
        trainer.train([sequence(tokens, draw) for tokens in batch], lr=1e-8)
        if number % (STEPS // LOOKS) == 0:
            sizes.append(resident())
    return sizes


def length(draw: random.Random) -> int:
    """Of one completion: as the toy's."""
    return draw.randint(40, 96) if draw.random() < 0.01 else draw.randint(9, 31)


def sequence(tokens: int, draw: random.Random) -> Sequence:
    """A completion of so many random tokens."""
    ids = tuple(draw.randrange(3, 250) for _ in range(PROMPT + tokens))
    advantage = draw.choice((-1.0, 1.0))
    return Sequence(ids[:PROMPT], ids[PROMPT:], (-1.0,) * tokens, advantage, 1 / 2000)


def resident() -> float:
    """Of this process, MiB."""
    return round(psutil.Process().memory_info().rss / 2**20, 1)


if __name__ == "__main__":
    main()
