"""`make chaos SEED=n`: kill anything, at any time, then make up the accounts.

An undisturbed run of the toy first, then the same run while its processes are killed (SIGKILL) and
stopped (SIGSTOP, 20 seconds each), in an order and at moments drawn from the seed; a third of the
blows follow the one before while the ring is still down. Afterwards the audit, from the append-only
file and the step records alone. The last line is JSON; the exit code is 0 if everything holds.
"""

import argparse
import json
import random
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.audit import Accounts, audit
from tests.chaos.history import History, read
from tests.chaos.ring import ROLES, ROOT, Ring

KILLS = {"sampler": 9, "scorer": 9, "learner": 7, "redis": 7}
STEPS = 120
STOPPED_SECONDS = 20.0
OVERLAPPING = 1 / 3
"""Share of blows that do not wait until the ring has recovered from the one before."""

READY = re.compile(r"^([0-9:]{8}).* ready after ([0-9.]+) s$", re.MULTILINE)

STANDARD_ERRORS = 4.0
"""How far held-out accuracy may lie from the undisturbed run's, in standard errors."""

OVERRIDES = (
    f"learner.steps={STEPS}", "learner.groups_per_step=8", "learner.lr=2e-5",
    "learner.checkpoint_every=5", "evaluation.every=60",
)  # fmt: skip


@dataclass(frozen=True)
class Blow:
    """One signal, and when it was sent."""

    role: str
    number: signal.Signals
    at: float


def main() -> int:
    """Run, break, audit, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    options = parser.parse_args()
    name = f"chaos-{options.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    options.runs.mkdir(parents=True, exist_ok=True)
    undisturbed = start(options, f"{name}-undisturbed")
    say("an undisturbed run first")
    if undisturbed.finish():
        raise SystemExit(f"the undisturbed run failed; see {undisturbed.log}")
    ring = start(options, name)
    try:
        blows = strike(ring, random.Random(options.seed))
        code = ring.finish()
    finally:
        ring.close()
    kept = [(blow.role, blow.number.name, blow.at) for blow in blows]
    (ring.directory / "blows.json").write_text(json.dumps(kept) + "\n")
    history = read(ring.directory, ring.kept)
    return report(ring, undisturbed, history, blows, code)


def start(options: argparse.Namespace, name: str) -> Ring:
    """The toy under `openrs up`."""
    sets = [word for value in (f"seed={options.seed}", *OVERRIDES) for word in ("--set", value)]
    arguments = [str(ROOT / "recipes" / "toy.toml"), "--restarts", "100", *sets]
    return Ring(options.runs, name, arguments, options.runs / f"{name}.log")


def strike(ring: Ring, chance: random.Random) -> list[Blow]:
    """Every blow of the plan, spread over the steps of the run."""
    plan = [(role, signal.SIGKILL) for role, count in KILLS.items() for _ in range(count)]
    plan += [(role, signal.SIGSTOP) for role in ROLES]
    chance.shuffle(plan)
    blows: list[Blow] = []
    together = False
    for number, (role, what) in enumerate(plan):
        if not together:
            await_step(ring, 1 + int(number * 0.85 * STEPS / len(plan)))
            pause(ring, chance.uniform(0.0, 1.5))
        at = ring.send(role, what)
        say(f"step {len(ring.steps):3d}: {what.name} to {role} ({number + 1} of {len(plan)})")
        follows = what == signal.SIGKILL and chance.random() < OVERLAPPING
        blows.append(Blow(role, what, at))
        if what == signal.SIGSTOP:
            pause(ring, STOPPED_SECONDS)
            ring.send(role, signal.SIGCONT)
        elif follows:
            pause(ring, chance.uniform(0.0, 3.0))
        together = follows
    return blows


def await_step(ring: Ring, step: int) -> None:
    """Wait until the run is there, so that it has recovered from what went before."""
    while len(ring.steps) < step:
        ring.turn()


def pause(ring: Ring, seconds: float) -> None:
    """Let so much time pass."""
    until = time.time() + seconds
    while time.time() < until:
        ring.turn()


def report(ring: Ring, undisturbed: Ring, history: History, blows: list[Blow], code: int) -> int:
    """Say what came out; the exit code."""
    accounts = audit(history)
    summary = summary_of(ring)
    before, after = summary_of(undisturbed).get("held_out_after"), summary.get("held_out_after")
    kills = Counter(blow.role for blow in blows if blow.number == signal.SIGKILL)
    recovery = recovery_seconds(ring, history, blows)
    faults = list(accounts.faults)
    if code:
        faults.append(f"openrs up ended with exit code {code}; see {ring.log}")
    if summary and summary["groups"] != claimed(accounts):
        faults.append(f"the learner's own accounts differ: {summary['groups']}")
    if after is not None and not is_within_noise(before, after, summary["problems"]):
        faults.append(f"held-out accuracy {after}, undisturbed {before}")
    for fault in faults:
        say(f"FAULT: {fault}")
    for key, value in vars(accounts).items():
        if key != "faults":
            say(f"{key:>14} {value}")
    line = {
        **claimed(accounts), "reissued": accounts.reissued, "void": accounts.void,
        "balanced": accounts.balanced and not faults, "missing": accounts.missing,
        "twice": accounts.twice, "steps": accounts.steps, "lives": accounts.lives,
        "max_staleness": accounts.max_staleness, "staleness_bound": summary.get("staleness_bound"),
        "kills": dict(kills), "stops": sum(b.number == signal.SIGSTOP for b in blows),
        "recovery_seconds": recovery, "held_out": after, "held_out_undisturbed": before,
    }  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if is_sound(line) else 1


def claimed(accounts: Accounts) -> dict[str, int]:
    """The accounts in the learner's own words."""
    words = ("issued", "trained", "zero_signal", "stale", "failed", "in_flight")
    return {word: getattr(accounts, word) for word in words}


def is_sound(line: dict[str, object]) -> bool:
    """Is nothing lost, nothing twice, nothing beyond the bound?"""
    bound = line["staleness_bound"]
    return bool(
        line["balanced"] and line["missing"] == 0 and line["twice"] == 0
        and line["steps"] == STEPS and bound is not None and line["max_staleness"] <= bound  # type: ignore[operator]
    )  # fmt: skip


def is_within_noise(before: float, after: float, problems: int) -> bool:
    """Two shares of as many problems: is their difference what chance makes of equal ones?"""
    mean = (before + after) / 2
    error = (2 * max(mean * (1 - mean), 1 / problems) / problems) ** 0.5
    return abs(before - after) <= STANDARD_ERRORS * error


def summary_of(ring: Ring) -> dict[str, object]:
    """The run's own last line; empty when it has none."""
    path = ring.directory / "summary.json"
    return json.loads(path.read_text()) if path.exists() else {}


def recovery_seconds(ring: Ring, history: History, blows: list[Blow]) -> dict[str, object]:
    """From a kill to the role's next useful output: median and worst.

    Of kills by themselves: the ring had recovered from the blow before, and recovered from this one
    before the next. Useful is a rollout, a scored group, a step; of Redis, anything appended.
    `besides` leaves out the time from the start of the process until its model was loaded, as its
    log says.
    """
    outputs = {
        "sampler": history.written["rollouts"], "scorer": history.written["scored"],
        "learner": [line["time"] for line in history.of("step")],
        "redis": sorted(at for times in history.written.values() for at in times),
    }  # fmt: skip
    kills: dict[str, list[tuple[float, float]]] = {role: [] for role in ROLES}
    recovered = 0.0  # when the blow before was over
    for number, blow in enumerate(blows):
        since = blow.at + (STOPPED_SECONDS if blow.number == signal.SIGSTOP else 0.0)
        over = next((t for t in outputs[blow.role] if t > since), since)
        following = blows[number + 1].at if number + 1 < len(blows) else over
        if blow.number == signal.SIGKILL and recovered <= blow.at and over <= following:
            kills[blow.role].append((blow.at, over - blow.at))
        recovered = max(recovered, over)
    found: dict[str, object] = {}
    for role, each in kills.items():
        waits = [wait for _, wait in each]
        besides = [wait - loading(ring, role, at) for at, wait in each]
        if waits:
            found[role] = {"kills": len(waits), **spread("", waits), **spread("besides_", besides)}
    return found


def spread(name: str, seconds: list[float]) -> dict[str, float]:
    """Median and worst."""
    ordered = sorted(seconds)
    middle, worst = ordered[len(ordered) // 2], ordered[-1]
    return {f"{name}median": round(middle, 2), f"{name}worst": round(worst, 2)}


def loading(ring: Ring, role: str, killed_at: float) -> float:
    """Seconds that the life after a kill took to load, from its log (whose clock shows seconds)."""
    clock = time.strftime("%H:%M:%S", time.localtime(killed_at))
    for path in (ring.directory / "logs").glob(f"{role}*.log"):
        for at, seconds in READY.findall(path.read_text()):
            if at >= clock:  # a run over midnight has no business here
                return float(seconds)
    return 0.0


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
