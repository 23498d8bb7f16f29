"""What moving weights costs, with SmolLM2-135M: `make bench-weights`. The last line is JSON.

1. The ring, 21 steps at each of three learning rates, every update read back out of vLLM and
   compared with the published digest: how large the deltas are, and whether all is bit-exact.
2. The ring once more without that reading back: how long nothing is sampled for an update.
3. Alone on the machine, 16 requests in flight: packing, applying, a whole snapshot through Redis,
   and as a yardstick the same model through a safetensors file in /dev/shm.

It takes about 15 minutes on two cores. Figures for 1.5 billion parameters are extrapolated
linearly, and say so.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from openrs_core.ledger import Policy
from openrs_core.memory import keep_freed_memory
from openrs_core.recipe.file import load
from openrs_core.ring.connection import connect
from openrs_core.ring.queue import Delivery
from openrs_core.weights import Change, Publisher, Receiver, Snapshot, Update
from openrs_core.weights.delta import decode, encode
from openrs_core.wire.messages import Prompt, Sampling
from services.model.weights import base_policy
from services.sampler.engine import VllmEngine
from services.supervisor.redis_server import RedisServer
from tests.e2e.smollm2_ring import Run, overrides, run_ring
from tests.smollm2 import RECIPE, ensure_smollm2
from tests.weights import difference

RATES = ("1e-6", "3e-6", "1e-5")
FIRST, LAST = 5, 20
"""Versions whose deltas count: the first ones are denser."""

TIMED_STEPS = 12
REPEATS = 5
WHOLE_1_5B = 3.09e9
"""Bytes of 1.5 billion parameters in bfloat16."""


def main() -> None:
    """Everything, with progress on stderr."""
    keep_freed_memory()  # as every process of the ring does
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        server = RedisServer(directory / "redis")
        try:
            checked = {rate: ring_at(directory, server.url, rate) for rate in RATES}
            timed = ring_timed(directory, server.url)
            alone = measure_alone(checked["1e-6"], server.url)
        finally:
            server.close()
    report(checked, timed, alone)


# --- in the ring -------------------------------------------------------------------------------


def ring_at(directory: Path, redis_url: str, rate: str) -> Run:
    """As many steps as the recipe has, every update compared."""
    say(f"{LAST + 1} steps at a learning rate of {rate}, every update compared")
    return run_ring(directory, redis_url, f"checked-{rate}", f"learner.lr={rate}")


def ring_timed(directory: Path, redis_url: str) -> Run:
    """Some steps without the comparison, which would be part of the pause."""
    say(f"{TIMED_STEPS} steps at a learning rate of 3e-6, timed")
    return run_ring(
        directory, redis_url, "timed", "learner.lr=3e-6", f"learner.steps={TIMED_STEPS}",
        "sampler.check_weights=false", "learner.checkpoint_every=100",
    )  # fmt: skip


def ratio(run: Run) -> float:
    """Mean size of a delta, as a share of the policy."""
    sent = [p for p in run.published if p["form"] == "delta" and FIRST <= p["version"] <= LAST]
    return statistics.fmean(p["size"] / p["whole_size"] for p in sent)


def is_bit_exact(run: Run) -> bool:
    """Was every version put in force? (A sampler that found a difference would have failed.)

    The last step's is left out: the samplers may be stopped before they have it.
    """
    return {note.version for note in run.taken} >= set(range(LAST + 1))


# --- alone -------------------------------------------------------------------------------------


def measure_alone(run: Run, redis_url: str) -> dict[str, float]:
    """Seconds of each part, of two versions that follow each other."""
    say("one sampler alone, 16 requests in flight")
    old, new = (base_policy(f"{run.directory}/checkpoints/step-{n:06d}/model", "bfloat16")
                for n in (LAST, LAST + 1))  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        values = overrides(Path(scratch), "sampler.check_weights=false")[1::2]
        engine = VllmEngine(load(RECIPE, values), str(ensure_smollm2()), "alone")
        engine.base()
        engine.load(an_update(old, old.whole()))
        busy, change = Busy(engine), difference(old, new)
        head, body = encode(change, old.layout)
        found: dict[str, float] = {}
        found["compare"] = best(lambda: difference(old, new))
        found["encode"] = best(lambda: encode(change, old.layout))
        found["decode"] = best(lambda: decode(head, body, old.layout))
        found["apply_to_copy"] = best(lambda: old.apply(change))
        found["digest"] = best(old.digest)
        found["pause_delta"] = busy.pause(an_update(new, change))
        found["pause_snapshot"] = busy.pause(an_update(new, new.whole()))
        found |= through_redis(new, busy, redis_url) | through_a_file(new, busy, Path("/dev/shm"))
    return found | {"size": len(body), "whole": new.layout.nbytes}


class Busy:
    """An engine with requests in flight."""

    def __init__(self, engine: VllmEngine) -> None:
        self.engine, self._number = engine, 0

    def pause(self, update: Update) -> float:
        """Median time an update takes, between steps."""
        return statistics.median(self._once(update) for _ in range(REPEATS))

    def step(self) -> None:
        """Sample on; new requests for those that ended."""
        while len(self.engine.in_flight) < 4:
            self._number += 1
            prompt = a_prompt(f"{self._number}")
            self.engine.submit(Delivery(b"", "prompts", prompt))
        self.engine.step()

    def _once(self, update: Update) -> float:
        for _ in range(3):
            self.step()
        begun = time.perf_counter()
        self.engine.load(update)
        return time.perf_counter() - begun


def through_redis(new: Snapshot, busy: Busy, redis_url: str) -> dict[str, float]:
    """A whole snapshot: sent, fetched and checked, put in force."""
    client = connect(redis_url)
    publisher = Publisher(client, "alone", snapshot_every=100)
    publisher.begin(Policy(1, 0), new.copy())
    receiver = Receiver(client, "alone", "sampler", Snapshot(new.layout))  # it has nothing of it
    begun = time.perf_counter()
    publisher.publish(Policy(1, 1), new.whole())
    publisher.drain()
    sent = time.perf_counter()
    receiver.advance()
    [update] = receiver.take()
    fetched = time.perf_counter()
    busy.engine.load(update)
    ended = time.perf_counter()
    publisher.close()
    receiver.close()
    return {
        "snapshot_send": sent - begun, "snapshot_fetch": fetched - sent,
        "snapshot_apply": ended - fetched, "snapshot": ended - begun,
    }  # fmt: skip


def through_a_file(new: Snapshot, busy: Busy, directory: Path) -> dict[str, float]:
    """The yardstick: write a safetensors file to memory, read it, load it; nothing is checked."""
    path = directory / "openrs-bench.safetensors"
    tensors = {
        spec.name: torch.from_numpy(new.tensor(number).view("<i2"))
        .view(torch.bfloat16)
        .reshape(spec.shape)
        for number, spec in enumerate(new.layout.tensors)
    }
    begun = time.perf_counter()
    safetensors.torch.save_file(tensors, path)
    loaded = safetensors.torch.load_file(path)
    busy.engine._llm.apply_model(lambda model: model.load_weights(iter(loaded.items())) and None)
    seconds = time.perf_counter() - begun
    path.unlink()
    return {"file": seconds}


def an_update(policy: Snapshot, change: Change) -> Update:
    """As a receiver would offer it."""
    return Update(Policy(1, 1), policy.digest(), policy.layout, change, "delta", 0, 0.0, 0.0)


def a_prompt(name: str) -> Prompt:
    """Four answers of up to 32 tokens."""
    return Prompt(
        group_id=name, prompt_id=name, position=0, purpose="train", incarnation=1, issued_version=0,
        issued_at=0.0, token_ids=tuple(range(100, 120)), thought_open=False,
        problem="", answer="",
        sampling=Sampling(temperature=1.0, max_tokens=32, group_size=4),
    )  # fmt: skip


def best(work: Callable[[], Any]) -> float:
    """The shortest of some tries, in seconds."""

    def once() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return min(once() for _ in range(REPEATS))


# --- what it comes to --------------------------------------------------------------------------


def report(checked: dict[str, Run], timed: Run, alone: dict[str, float]) -> None:
    """Tables for people on stderr, one line for programs on stdout."""
    whole = alone["whole"]
    pauses = {form: [n.apply_seconds for n in timed.taken if n.form == form and n.size]
              for form in ("delta", "snapshot")}  # fmt: skip
    step = timed.step_seconds
    packing = alone["compare"] + alone["encode"] + alone["digest"]
    taking = alone["decode"] + alone["apply_to_copy"] + alone["digest"] + alone["pause_delta"]
    for name, seconds in alone.items():
        if name not in ("size", "whole"):
            say(f"{name:>16} {seconds * 1000:9.1f} ms    {extrapolated(seconds, whole)}")
    say(f"step {step:.2f} s; pause in the ring, median and worst: {spread(pauses['delta'])}")
    result = {
        "ratio": {rate: round(ratio(run), 5) for rate, run in checked.items()},
        "bit_exact": all(is_bit_exact(run) for run in checked.values()),
        "encode_mb_s": round(whole / 1e6 / packing),
        "apply_mb_s": round(whole / 1e6 / taking),
        "pause_over_step": round(statistics.fmean(pauses["delta"]) / step, 5),
        "snapshot_pause_over_step": round(alone["pause_snapshot"] / step, 5),
        "full_snapshot_seconds": round(alone["snapshot"], 3),
        "file_seconds": round(alone["file"], 3),
        "step_seconds": round(step, 2),
    }
    print(json.dumps(result))


def extrapolated(seconds: float, whole: float) -> str:
    """The same for a model of 1.5 billion parameters, if it grew with the bytes."""
    return f"1.5B, extrapolated, not measured: {seconds * WHOLE_1_5B / whole:6.2f} s"


def spread(seconds: list[float]) -> str:
    """Median and worst."""
    return f"{statistics.median(seconds) * 1000:.1f} and {max(seconds) * 1000:.1f} ms"


def say(text: str) -> None:
    """Progress."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
