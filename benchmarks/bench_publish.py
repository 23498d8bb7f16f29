"""Does publishing slow a training step down? `make bench-publish`. The last line is JSON.

The same trainer makes steps in turns, with publishing and without, on the toy and on SmolLM2-135M.
A step with publishing is timed from the end of the step before to the moment the loop may go on:
training, finding what changed, handing it over, and any waiting for the version before, which is
sent meanwhile. The first step of a turn is left out: nothing is on its way then.

`python benchmarks/bench_publish.py toy|smollm2` measures one of them; without, both.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from openrs_core.ledger import Policy
from openrs_core.memory import keep_freed_memory
from openrs_core.recipe.file import load
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.ring.connection import connect
from openrs_core.weights import Publisher
from services.learner.step import Sequence
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.model.directory import model_directory
from services.supervisor.redis_server import RedisServer
from tests.e2e.smollm2_ring import overrides
from tests.smollm2 import RECIPE


@dataclass(frozen=True)
class Size:
    """What one step trains, and how many are made."""

    sequences: int
    prompt: int
    completion: int
    turns: int
    steps: int


SIZES = {
    "toy": Size(sequences=128, prompt=22, completion=29, turns=12, steps=12),
    "smollm2": Size(sequences=16, prompt=100, completion=32, turns=8, steps=5),
}
"""Those of the two recipes."""


def main() -> None:
    """Each model in a process of its own."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    found = {}
    for name in SIZES:
        sys.stderr.write(f"{name}: steps with and without publishing, in turns\n")
        done = subprocess.run([sys.executable, __file__, name], check=True, stdout=subprocess.PIPE)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found))


def measure(name: str) -> dict[str, float]:
    """Median seconds of a step, without and with publishing, and by how much they differ."""
    with tempfile.TemporaryDirectory() as scratch:
        server = RedisServer(Path(scratch) / "redis")
        try:
            times = in_turns(recipe_of(name, Path(scratch)), SIZES[name], server.url)
        finally:
            server.close()
    off, on = statistics.median(times[False]), statistics.median(times[True])
    return {"off": round(off, 4), "on": round(on, 4), "more": round(on / off - 1, 4)}


def recipe_of(name: str, scratch: Path) -> TrainingRecipe:
    """The recipe whose steps are made."""
    if name == "toy":
        return load(Path(__file__).parents[1] / "recipes" / "toy.toml")
    return load(RECIPE, overrides(scratch)[1::2])


def in_turns(recipe: TrainingRecipe, size: Size, redis_url: str) -> dict[bool, list[float]]:
    """Seconds of every step but the first of each turn, by whether it published."""
    keep_freed_memory()  # as every process of the ring does
    trainer = DeepSpeedTrainer(recipe, model_directory(recipe))
    publisher = Publisher(connect(redis_url), "bench", recipe.learner.snapshot_every)
    publisher.begin(Policy(1, 0), trainer.weights())
    times: dict[bool, list[float]] = {False: [], True: []}
    version = 0
    for turn in range(size.turns):
        publishing = turn % 4 in (1, 2)  # off, on, on, off: a slow drift falls on both alike
        for step in range(size.steps):
            batch, begun = a_batch(size, seed=version), time.perf_counter()
            trainer.train(batch, recipe.learner.lr)
            version += 1
            if publishing:
                publisher.publish(Policy(1, version), trainer.change())
            if step:
                times[publishing].append(time.perf_counter() - begun)
        publisher.drain()
    publisher.close()
    trainer.close()
    return times


def a_batch(size: Size, seed: int) -> list[Sequence]:
    """Random tokens: what they say does not matter to the clock."""
    draw = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> tuple[Any, ...]:
        return tuple(torch.randint(5, 250, (count,), generator=draw).tolist())

    return [
        Sequence(
            prompt=tokens(size.prompt),
            completion=tokens(size.completion),
            behaviour_logprobs=(-5.0,) * size.completion,
            advantage=(-1.0) ** number,
            weight=1 / (size.sequences * size.completion),
        )
        for number in range(size.sequences)
    ]


if __name__ == "__main__":
    main()
