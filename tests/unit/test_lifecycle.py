"""How a process begins and ends."""

import gc

import pytest

from openrs_core.errors import RunError
from openrs_core.lifecycle import Settings, running

pytestmark = pytest.mark.usefixtures("a_process_of_its_own")

HERE = Settings(redis_url="redis://127.0.0.1:1", run="r", name="n")


def test_garbage_is_looked_for_from_the_moment_a_process_is_ready():
    """And what it has loaded by then is never looked through again."""
    with running("scorer", HERE) as stop:
        assert not gc.isenabled()
        stop.ready()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0


def test_garbage_is_looked_for_again_after_a_process_that_never_was_ready():
    with pytest.raises(SystemExit), running("scorer", HERE):
        raise RunError("the model is not there")
    assert gc.isenabled()
