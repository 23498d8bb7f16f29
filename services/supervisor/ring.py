"""The ring of one run on this machine: started, shown, stopped in order, whoever its client is.

Started: Redis (unless an address is given), scorers, samplers, the client: a learner, an evaluator
or a curator. What dies is started again, Redis too, and the reason is shown; the others wait
meanwhile. A process that keeps dying, or that says that the user has to mend something (exit code
2), ends the run: its last lines are shown and the exit code is not 0. The run is over when the
client is. Stopped in this order, so that each can still hand on what it has: the client (a learner
writes a checkpoint), samplers, scorers, Redis.
"""

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Literal, Protocol

import redis

from openrs_core.errors import RunError
from openrs_core.lifecycle import EXIT_USER
from openrs_core.recipe.ring import RingRecipe
from openrs_core.record.directory import RECIPE, keep_recipe, write_whole
from openrs_core.ring.agreement import refuse_odd_name
from openrs_core.ring.connection import connect
from openrs_core.ring.keys import STAGES, Keys
from openrs_core.ring.lease import forget_dead
from services.model.directory import model_directory
from services.scorer.main import refuse_impossible
from services.supervisor.process import RingProcess
from services.supervisor.redis_server import RedisServer
from services.supervisor.supervised import Supervised

LOOK_SECONDS = 0.25
ANSWER_SECONDS = 1.0
"""Longest wait for the queue depths: they are only shown, and what died is to be started again."""

EXIT_FAULT, EXIT_STOPPED = 1, 130


class Shown(Protocol):
    """What a person sees of a run; a context."""

    def __enter__(self) -> "Shown": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

    def say(self, text: str) -> None:
        """A line that stays; nothing for an empty one."""

    def show(self, depths: Mapping[str, int], state: str = "") -> None:
        """Bring what is shown up to date; the state, unless the record tells it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """The process in whose service the ring turns."""

    role: Literal["learner", "evaluator", "curator"]
    result: str
    """The file that is in the run's directory when it is finished."""
    view: Callable[[str, Path, float], Shown]
    """Made of the run id, the run's directory and the time of the beginning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is asked of the ring, beside the recipe."""

    run: str | None
    redis_url: str | None
    runs: Path
    samplers: int
    scorers: int
    resume: bool
    restarts: int
    """Most restarts of one process within ten minutes."""


def run(recipe: RingRecipe, directory: Path, plan: Plan, rewards: Path, client: Client) -> int:
    """The ring, from its start to its end; returns the exit code.

    `rewards`: where modules with rewards of the user's own are looked for.
    """
    begun, stop = time.monotonic(), threading.Event()
    if plan.redis_url:
        refuse_taken(plan.redis_url, directory.name, plan)
    refuse_impossible(recipe.scorer, rewards)
    model_directory(recipe)  # the toy is made, or a model fetched, where its progress can be seen
    keep_recipe(directory, recipe)  # nothing is left behind by what is refused above
    with ExitStack() as cleanup:
        server = None if plan.redis_url else RedisServer(directory / "redis", plan.restarts)
        if server:
            cleanup.callback(server.close)
        ring = Ring(directory, plan, server, rewards, client)
        _on_signals(stop)
        ring.start()
        code = ring.watch(stop, begun)
    if code == 0:
        shutil.rmtree(directory / "redis", ignore_errors=True)  # nothing of a finished run is in it
    return code


def run_directory(recipe: RingRecipe, plan: Plan, result: str) -> Path:
    """Where this run is kept, which is finished when it holds a file `result`.

    Raises:
        RunError: the run id is no name, is taken, or there is nothing (more) to resume.
    """
    name = plan.run or f"{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}"
    refuse_odd_name(name)
    directory = plan.runs / name
    if directory.exists() and not plan.resume:
        raise RunError(f"--run {name}: {directory} exists; choose another id, or add --resume")
    if plan.resume and not directory.exists():
        raise RunError(f"--run {name}: nothing to resume, {directory} does not exist")
    if (directory / result).exists():
        raise RunError(f"--run {name}: the run is finished, see {directory / result}")
    return directory


def refuse_taken(redis_url: str, run: str, plan: Plan) -> None:
    """Raise RunError when this Redis already knows the run, unless it is resumed.

    Waits for a Redis that is not there yet; Ctrl-C ends that.
    """
    client = connect(redis_url, threading.Event())
    if not plan.resume and client.exists(Keys(run).recipe):
        raise RunError(f"--run {run}: this Redis already holds a run of that id; choose another")


class Ring:
    """The processes of one run."""

    def __init__(
        self,
        directory: Path,
        plan: Plan,
        server: RedisServer | None,
        rewards: Path,
        client: Client,
    ) -> None:
        """`server`: the run's own Redis, unless the plan names another; `rewards`: see scorers."""
        self._directory, self._plan, self._server, self._of = directory, plan, server, client
        self._url = server.url if server else str(plan.redis_url)
        self._run, self._rewards = directory.name, rewards
        self._client = connect(self._url, answer_seconds=ANSWER_SECONDS)
        self._processes: list[RingProcess] = []
        self._targets: list[dict[str, object]] = []

    def start(self) -> None:
        """Start every process; the client is the last in the list."""
        for role, count in (("scorer", self._plan.scorers), ("sampler", self._plan.samplers)):
            for number in range(count):
                options = ["--name", f"{role}-{number}"]
                if role == "scorer":
                    options += ["--rewards", str(self._rewards)]
                self._launch(role, f"{role}-{number}", options)
        self._launch(self._of.role, self._of.role, ["--runs", str(self._directory.parent)])
        # what Prometheus' file_sd_configs reads
        write_whole(self._directory / "targets.json", json.dumps(self._targets, indent=2) + "\n")

    def watch(self, stop: threading.Event, begun: float) -> int:
        """Show the run until it is over, with the time since `begun`; the exit code."""
        failed = None
        with self._of.view(self._run, self._directory, begun) as view:
            while not (stop.is_set() or failed or self._processes[-1].is_finished):
                failed = self._look_after_the_dead(view)
                view.show(self._depths())
                stop.wait(LOOK_SECONDS)
            view.show(self._depths(), "stopping")
            self._stop_in_order()
            view.show(self._depths(), "stopped" if stop.is_set() else "finished")
        return self._verdict(failed, stop)

    def _look_after_the_dead(self, view: Shown) -> Supervised | None:
        """Start again what died; returns a process that is given up, if there is one."""
        for process in [*([self._server] if self._server else []), *self._processes]:
            try:
                news = process.look()
            except ChildProcessError:
                return process
            view.say(news)
            if news and process.name == self._of.role:
                with suppress(redis.RedisError):  # its lease runs out by itself in any case
                    forget_dead(self._client, self._run, process.pid)
        return None

    def _verdict(self, failed: Supervised | None, stop: threading.Event) -> int:
        """0 when the client finished; otherwise say who failed and show its last lines."""
        finished = (self._directory / self._of.result).exists()
        if stop.is_set() or not (failed or finished):
            return EXIT_STOPPED
        if failed:
            sys.stderr.write(
                f"{failed.name} {failed.how_it_ended()}, and is not started again; the end of "
                f"{failed.log}:\n{failed.last_lines()}\n"
            )
            return EXIT_USER if failed.exit_code == EXIT_USER else EXIT_FAULT
        return 0

    def _launch(self, role: str, name: str, options: list[str]) -> None:
        arguments = [role, "--run", self._run, "--recipe", str(self._directory / RECIPE)]
        environment = {"OPENRS_REDIS": self._url}
        if role == "learner":
            environment["OMP_NUM_THREADS"] = _learner_threads()
        log = self._directory / "logs" / f"{name}.log"
        port = free_port()
        arguments += ["--metrics-port", str(port), *options]
        process = RingProcess(
            name, arguments, log, environment, self._plan.restarts, ends=role == self._of.role
        )
        self._processes.append(process)
        labels = {"role": role, "name": name, "run": self._run}
        self._targets.append({"targets": [f"127.0.0.1:{port}"], "labels": labels})

    def _stop_in_order(self) -> None:
        for role in (self._of.role, "sampler", "scorer"):
            chosen = [process for process in self._processes if process.name.startswith(role)]
            for process in chosen:
                process.terminate()
            for process in chosen:
                process.join()

    def _depths(self) -> dict[str, int]:
        keys = Keys(self._run)
        try:
            return {stage: int(self._client.xlen(keys.stage(stage))) for stage in STAGES}
        except redis.RedisError:  # the processes will say so, each in its log
            return {}


def _learner_threads() -> str:
    """All cores but one, which is left to the sampler: it works at the same time."""
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 2) - 1))


def free_port() -> int:
    """A TCP port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _on_signals(stop: threading.Event) -> None:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
