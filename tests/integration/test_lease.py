"""One learner at a time, on a real Redis; leases of tenths of a second."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from openrs_core.errors import FencedError, RunError, StoppedError
from openrs_core.recipe.file import load
from openrs_core.ring.agreement import agree
from openrs_core.ring.keys import Keys
from openrs_core.ring.lease import Lease, forget_dead
from tests.conftest import wait_until

pytestmark = pytest.mark.redis

SOON = 0.4
TOY = load("recipes/toy.toml")


@pytest.fixture
def lease(client, run_id):
    """Makes leases of the test's run; they are given back at its end."""
    made = []

    def make(seconds: float = SOON) -> Lease:
        made.append(Lease(client, run_id, TOY, seconds))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def stop():
    return threading.Event()


def test_a_second_learner_is_refused_and_told_who_is_there(lease, stop):
    lease().take(stop)
    with pytest.raises(RunError, match=f"already has a learner .process {os.getpid()} on"):
        lease().take(stop)


def test_a_place_that_was_left_is_free_at_once(lease, stop, client, run_id):
    first = lease(60.0)
    first.take(stop)
    first.close()
    lease(60.0).take(stop)


def test_the_lease_of_a_dead_learner_runs_out(lease, stop, client, run_id):
    """Nobody renews it: the next learner waits and takes the place."""
    client.set(Keys(run_id).learner, "elsewhere 1 dead", px=int(SOON * 1000))
    lease().take(stop)
    assert b"dead" not in client.get(Keys(run_id).learner)


def test_whoever_waits_for_a_lease_can_be_told_to_stop(lease, stop, client, run_id):
    client.set(Keys(run_id).learner, "elsewhere 1 x", ex=600)
    stop.set()
    with pytest.raises(StoppedError):
        lease(600.0).take(stop)


def test_a_learner_that_stood_still_finds_itself_replaced(lease, stop, client, run_id):
    """Its lease ran out meanwhile, and another took the place."""
    paused = lease()
    paused.take(stop)
    client.set(Keys(run_id).learner, "elsewhere 1 another")

    def is_told() -> bool:
        try:
            paused.check()
        except FencedError:
            return True
        return False

    wait_until(is_told, "the fence")
    paused.close()
    assert client.get(Keys(run_id).learner) == b"elsewhere 1 another", "not ours to give back"


def test_a_learner_that_stood_still_and_was_not_replaced_goes_on(lease, stop, client, run_id):
    paused = lease()
    paused.take(stop)
    client.delete(Keys(run_id).learner)
    wait_until(lambda: client.exists(Keys(run_id).learner), "the lease again")
    paused.check()


def test_a_redis_that_forgot_the_recipe_is_told(lease, stop, client, run_id):
    lease().take(stop)
    client.flushall()
    wait_until(lambda: client.exists(Keys(run_id).recipe), "the recipe again")


def test_a_redis_that_is_emptied_while_it_is_asked_holds_no_other_recipe(run_id):
    """It happened between two commands, and the learner took it for another recipe."""

    class Emptied:
        def get(self, key):
            return None

        def set(self, key, value, *, nx):
            return True

    agree(Emptied(), run_id, TOY)


def test_the_lease_of_a_process_known_to_be_dead_is_dropped(client, run_id):
    """Of this machine and this process number only: `openrs up` has seen it end."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    key, host = Keys(run_id).learner, socket.gethostname()
    for holder, left in ((f"{host} {dead.pid} x", 0), (f"{host} 1 x", 1), (f"no {dead.pid} x", 1)):
        client.set(key, holder)
        forget_dead(client, run_id, dead.pid)
        assert client.exists(key) == left
