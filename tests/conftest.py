"""What tests share: a Redis server of their own, a run id each, and waiting for conditions."""

import gc
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis
from hypothesis import settings

from openrs_core.ring.address import address
from openrs_core.ring.connection import connect
from openrs_core.ring.queue import Queue
from services.supervisor.redis_server import RedisServer

# Before torch is imported: tests run side by side, and threads that wait for one another cost more
# than they bring on models as small as these. `make arithmetic` runs with two as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_numbers = itertools.count()

settings.register_profile("openrs", deadline=None)  # no test is about how fast this machine is
settings.load_profile("openrs")


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all processes of this session share, where tests run side by side."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server that lives as long as the session.

    Its password is in the environment, of this process and of all that it starts, so that the
    address can be given on command lines.
    """
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    at = address(server.url, {})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENRS_REDIS_PASSWORD", at.options["password"])
        yield at.shown
    server.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty database."""
    client = connect(redis_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def run_id() -> str:
    """A run of this test's own."""
    return f"run-{next(_numbers)}"


@pytest.fixture
def queue(client: redis.Redis, run_id: str) -> Callable[..., Queue]:
    """Makes one consumer's view of the test's run."""

    def make(consumer: str = "worker", redelivery_seconds: float = 60.0) -> Queue:
        return Queue(client, run_id, consumer, redelivery_seconds)

    return make


T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """What the condition gives, once it holds; fail, saying what was awaited, when it does not."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(0.02)
    return found


@pytest.fixture
def a_process_of_its_own() -> Iterator[None]:
    """`running` takes over signals, logging and the collector: afterwards they are as before."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for number, handler in signals.items():
        signal.signal(number, handler)
    root.handlers[:], root.level = handlers, level
    gc.unfreeze()
