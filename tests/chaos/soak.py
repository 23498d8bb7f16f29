"""`make soak MINUTES=n`: does anything grow that should not?

The toy under `openrs up`, at a learning rate so low that it stays as it is. Every few seconds: the
resident memory of each process with its children, what of its heap is in use or kept for later,
what Redis uses, the depth of each stream. At the end a line through the last two thirds of each, in
MiB an hour, and JSON as the last line. The exit code is 0 if no process grows by more than GROWTH
of itself in an hour, and the streams held to I1.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import psutil
import redis
from prometheus_client.parser import text_string_to_metric_families

from openrs_core.recipe.file import load
from openrs_core.ring.connection import connect
from openrs_core.ring.keys import STAGES, Keys
from tests.chaos.ring import ROLES, ROOT, Ring

LOOK_SECONDS = 5.0
GROWTH = 0.05
"""Of its own size an hour; a straight line through noise is never quite level."""

SERVING = ("sampler", "scorer", "learner")
HEAP = "openrs_process_heap_bytes"

TOY = ROOT / "recipes" / "toy.toml"
OVERRIDES = (
    "learner.steps=1000000", "learner.lr=1e-8", "learner.groups_per_step=8",
    "learner.checkpoint_every=20", "evaluation.every=50", "evaluation.problems=32",
)  # fmt: skip

Look = dict[str, float]


def main() -> int:
    """Run, look, draw lines, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--runs", type=Path, default=Path(tempfile.mkdtemp(prefix="openrs-soak-")))
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    sets = [word for value in OVERRIDES for word in ("--set", value)]
    ring = Ring(options.runs, "soak", [str(TOY), *sets], options.runs / "soak.log", keep=False)
    try:
        looks = watch(ring, options.minutes * 60)
        line = found(ring, looks)
    finally:
        ring.close()
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if line["flat"] and line["bounded"] else 1


def watch(ring: Ring, seconds: float) -> list[Look]:
    """Look now and then, from the first step on."""
    while not ring.steps:
        ring.turn(1.0)
    until, looks = time.time() + seconds, []
    while time.time() < until:
        looks.append(look(ring))
        if len(looks) % 60 == 1:
            sys.stderr.write(json.dumps({k: round(v, 1) for k, v in looks[-1].items()}) + "\n")
        ring.turn(LOOK_SECONDS)
    return looks


def look(ring: Ring) -> Look:
    """Sizes in MiB, depths in messages, as they are now."""
    client = connect((ring.directory / "redis" / "url").read_text().strip())
    keys = Keys("soak")
    depths = {f"{stage} depth": float(client.xlen(keys.stage(stage))) for stage in STAGES}
    sizes = {role: resident(ring.pid(role)) for role in ROLES}
    heaps = {name: size for role in SERVING for name, size in heap_of(ring, role).items()}
    return {"at": time.time(), **sizes, **heaps, "redis data": data_size(client), **depths}


def resident(pid: int | None) -> float:
    """Of a process and its children, MiB."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return float(sum(process.memory_info().rss for process in family)) / 2**20


def heap_of(ring: Ring, role: str) -> dict[str, float]:
    """What a process says of its own heap, MiB."""
    targets = json.loads((ring.directory / "targets.json").read_text())
    [address] = [t["targets"][0] for t in targets if t["labels"]["role"] == role]
    with urlopen(f"http://{address}/metrics") as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [s for family in families for s in family.samples if s.name == HEAP]
    return {f"{role} heap {s.labels['state']}": s.value / 2**20 for s in samples}


def data_size(client: redis.Redis) -> float:
    """What Redis says it uses, MiB."""
    return float(client.info("memory")["used_memory"]) / 2**20


def found(ring: Ring, looks: list[Look]) -> dict[str, object]:
    """The lines, and whether they are level."""
    late = looks[len(looks) // 3 :]
    names = [name for name in looks[0] if name != "at" and "depth" not in name]
    slopes = {name: slope(late, name) for name in names}
    sizes = {name: float(np.mean([each[name] for each in late])) for name in names}
    most = {name: max(each[name] for each in looks) for name in looks[0] if "depth" in name}
    bounds = bounds_of()
    return {
        "minutes": round((looks[-1]["at"] - looks[0]["at"]) / 60, 1), "steps": len(ring.steps),
        "looks": len(looks), "mib": rounded(sizes), "mib_an_hour": rounded(slopes),
        "flat": all(slopes[name] <= GROWTH * sizes[name] for name in ROLES),
        "deepest": most, "bounds": bounds,
        "bounded": all(most[name] <= bounds[name] for name in most),
    }  # fmt: skip


def slope(looks: list[Look], name: str) -> float:
    """MiB an hour, by least squares."""
    hours = np.array([each["at"] for each in looks]) / 3600
    return float(np.polyfit(hours - hours[0], [each[name] for each in looks], 1)[0])


def bounds_of() -> dict[str, float]:
    """By I1: groups in flight, an evaluation's prompts; scored ones also until a checkpoint."""
    recipe = load(TOY, OVERRIDES)
    rules = recipe.learner
    flying = (rules.max_staleness + 1) * rules.groups_per_step
    asked = 2 * recipe.evaluation.problems  # of an evaluation; all, while training waits for it
    ring = float(flying + asked)
    kept = rules.checkpoint_every * rules.groups_per_step
    return {"prompts depth": ring, "rollouts depth": ring, "scored depth": ring + kept}


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """For people."""
    return {name: round(value, 2) for name, value in values.items()}


if __name__ == "__main__":
    sys.exit(main())
