"""What the scorer's loop costs beside its verifiers: `make bench-scorer`. The last line is JSON.

First one group waits for a verdict that does not come: CPU time of the process and commands to
Redis, per second. Then two verifiers compare the answers of many groups: groups per second, and CPU
time of the loop's process (not of the verifiers) per group.
"""

import json
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import redis

from openrs_core.recipe.scorer import ScorerSection
from openrs_core.ring.connection import connect
from openrs_core.ring.queue import Queue
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup, Verdict
from services.scorer.loop import run
from services.scorer.verifier import VerifierPool
from services.supervisor.redis_server import RedisServer
from tests.builders import a_completion, a_group, a_prompt

RULES = ScorerSection(workers=2)
WAITING_SECONDS = 10.0
GROUPS, GROUP_SIZE = 500, 8


class NoVerdict:
    """Verifiers that never answer."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def submit(self, completion: Completion, prompt: Prompt) -> "Future[Verdict]":
        """A future that stays as it is."""
        self.asked.set()
        return Future()


def main() -> None:
    """Both measurements, on a Redis of their own."""
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        try:
            client = connect(server.url)
            print(json.dumps({**waiting(client), **working(client)}))
        finally:
            server.close()


def waiting(client: redis.Redis) -> dict[str, float]:
    """While a verdict is awaited."""
    Queue(client, "waiting", "bench").publish("rollouts", [a_group()])
    verifiers = NoVerdict()

    def see() -> dict[str, float]:
        verifiers.asked.wait()
        cpu, commands = time.process_time(), processed(client)
        time.sleep(WAITING_SECONDS)
        return {
            "cpu_per_second": round((time.process_time() - cpu) / WAITING_SECONDS, 5),
            "commands_per_second": round((processed(client) - commands) / WAITING_SECONDS, 1),
        }

    return beside(client, "waiting", verifiers, see)


def working(client: redis.Redis) -> dict[str, float]:
    """While there is always more to verify."""
    queue, verifiers = Queue(client, "working", "bench"), VerifierPool(RULES)
    queue.publish("rollouts", [answers(number) for number in range(GROUPS)])

    def see() -> dict[str, float]:
        while queue.depth("scored") < GROUPS // 10:  # the verifiers are warm
            time.sleep(0.05)
        begun, cpu, done = time.monotonic(), time.process_time(), queue.depth("scored")
        while queue.depth("scored") < GROUPS:
            time.sleep(0.05)
        done = GROUPS - done
        return {
            "groups_per_second": round(done / (time.monotonic() - begun), 1),
            "cpu_ms_per_group": round(1e3 * (time.process_time() - cpu) / done, 3),
        }

    try:
        return beside(client, "working", verifiers, see)
    finally:
        verifiers.close()


def beside(
    client: redis.Redis,
    name: str,
    verifiers: NoVerdict | VerifierPool,
    see: Callable[[], dict[str, float]],
) -> dict[str, float]:
    """What is seen while a scorer's loop runs."""
    stop = threading.Event()
    arguments = (Queue(client, name, "scorer"), verifiers, RULES, stop)
    thread = threading.Thread(target=run, args=arguments)
    thread.start()
    try:
        return see()
    finally:
        stop.set()
        thread.join()


def answers(number: int) -> RolloutGroup:
    """A group whose every answer needs mathematics, and was not seen before."""
    prompt = replace(a_prompt(f"1.{number}", group_size=GROUP_SIZE), answer=f"{number}.5")
    completions = tuple(
        a_completion(f"\\boxed{{\\frac{{{2 * number + 1 + 2 * miss}}}{{2}}}}")
        for miss in range(GROUP_SIZE)
    )
    return replace(a_group(prompt), completions=completions)


def processed(client: redis.Redis) -> int:
    """Commands this Redis has seen."""
    return int(client.info("stats")["total_commands_processed"])


if __name__ == "__main__":
    main()
