"""Redis goes and comes back: a process that may wait, waits; nothing is lost or done twice."""

import os
import signal
import threading

import pytest
import redis

from openrs_core.errors import RunError, StoppedError
from openrs_core.ring.connection import connect, outages
from openrs_core.ring.queue import Queue
from openrs_core.wire.messages import Prompt
from services.supervisor.redis_server import RedisServer
from tests.builders import a_group, a_prompt
from tests.conftest import wait_until

pytestmark = pytest.mark.redis


@pytest.fixture
def server(tmp_path):
    """A server of the test's own, to be killed."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.close()


@pytest.fixture
def stop():
    stop = threading.Event()
    yield stop
    stop.set()


def kill(server: RedisServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.exit_code is not None, "the end of the server")


def revive(server: RedisServer) -> None:
    """As `openrs up` does it."""
    before = server.pid

    def is_back() -> bool:
        server.look()
        return server.pid != before

    wait_until(is_back, "another life")


def test_without_patience_a_redis_that_is_away_is_an_error(server):
    kill(server)
    with pytest.raises(RunError, match="start Redis there"):
        connect(server.url)


def test_a_process_may_start_before_redis(server, stop, caplog):
    """It says what it waits for, and goes on when it is there."""
    kill(server)
    found: list[redis.Redis] = []
    waiting = threading.Thread(target=lambda: found.append(connect(server.url, stop)))
    waiting.start()
    wait_until(lambda: "waiting for Redis at unix://" in caplog.text, "a word about it")
    assert waiting.is_alive()
    revive(server)
    waiting.join(10)
    assert found[0].ping()


def test_a_process_that_waits_can_be_told_to_stop(server, stop):
    kill(server)
    stop.set()
    with pytest.raises(StoppedError, match="was away"):
        connect(server.url, stop)


def test_work_in_hand_outlives_a_killed_redis(server, stop):
    """Taken before, handed on after: its file has all that it had answered."""
    one = Queue(connect(server.url, stop), "run", "sampler-0")
    one.publish("prompts", [a_prompt("1.1"), a_prompt("1.2")])
    [taken] = one.read("prompts", Prompt, 1)
    before = one.disturbances
    kill(server)
    handing = threading.Thread(target=one.forward, args=(taken, "rollouts", a_group(taken.message)))
    handing.start()
    revive(server)
    handing.join(10)
    assert one.disturbances > before
    assert (one.depth("prompts"), one.depth("rollouts")) == (1, 1)
    [other] = one.read("prompts", Prompt, 9)
    assert other.message.group_id == "1.2", "what is in hand is not delivered again"


def test_an_outage_is_counted_once_however_many_commands_met_it(server, stop):
    client = connect(server.url, stop)
    kill(server)
    waiting = [threading.Thread(target=client.ping) for _ in range(3)]
    for thread in waiting:
        thread.start()
    revive(server)
    for thread in waiting:
        thread.join(10)
    assert outages(client) == 1


def test_a_server_that_keeps_dying_is_given_up(tmp_path):
    server = RedisServer(tmp_path / "redis", most_restarts=0)
    kill(server)
    with pytest.raises(ChildProcessError, match="was killed by SIGKILL"):
        server.look()
    server.close()
