"""A fault of one rank is said, and ends all of them; told to stop, one stops all.

Two ranks (gloo) with the real trainer; one of them is
`python tests/integration/test_ranks.py MODEL FAULT`.
"""

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openrs_core.errors import RunError
from openrs_core.lifecycle import EXIT_FORCED, Settings, running
from services.learner.step import StepStats
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.ranks import join
from services.learner.trainer.watch import one_fate
from tests.conftest import wait_until
from tests.ranks import Ranks
from tests.tiny_model import a_batch, tiny_recipe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

LIMIT_SECONDS = 20.0
"""From a fault to the end of the last rank."""

TRAINING = "makes steps"
"""What each rank logs when it has made some."""


# --- what the ranks run ------------------------------------------------------------------------


class Trainer(DeepSpeedTrainer):
    """Says when it makes steps; after that a fault may befall its backward pass."""

    steps, fault = 0, ""

    def _train(self, *arguments, **options) -> StepStats:
        stats = super()._train(*arguments, **options)
        self.steps += 1
        if self.steps == 2:
            logging.info(TRAINING)
        return stats

    def _backward(self, *arguments) -> None:
        if self.steps == 2 and self.fault == "raise":
            raise MemoryError("out of memory, so to speak")
        if self.steps == 2 and self.fault == "mend":
            raise RunError("the user can mend it")
        super()._backward(*arguments)


def be_a_rank(model: str, fault: str) -> None:
    settings = Settings(redis_url="", run="", name="")
    with one_fate(), running("learner", settings) as stop:
        join(stop.set)
        trainer = Trainer(tiny_recipe(model), model)
        trainer.fault = fault
        stop.ready()
        if trainer.rank:
            trainer.follow()
            return
        while not stop.is_set():
            trainer.train(a_batch(0), 1e-4)
        trainer.close()


# --- what is expected --------------------------------------------------------------------------


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Ranks]:
    """Two ranks that are to be started; none is left in the end."""
    made = Ranks(2, tmp_path)
    yield made
    made.kill()


def started(ranks: Ranks, model: str, *, fault: str = "", of: int = 0) -> None:
    """Start both, and wait until they train."""
    for rank in (0, 1):
        ranks.start(rank, __file__, model, fault if rank == of else "")
    wait_until(
        lambda: all(TRAINING in ranks.log(rank) for rank in (0, 1)) or any(ranks.codes.values()),
        "steps",
    )
    assert ranks.logs.count(TRAINING) == 2, ranks.logs


def ended(ranks: Ranks) -> list[int | None]:
    """Their exit codes, once all have ended."""
    wait_until(lambda: None not in ranks.codes.values(), f"the end: {ranks.logs}", LIMIT_SECONDS)
    return list(ranks.codes.values())


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_rank_is_said_and_ends_both(ranks, tiny_model, rank):
    started(ranks, tiny_model, fault="raise", of=rank)
    assert ended(ranks) == [1, 1]
    own, other = ranks.log(rank), ranks.log(1 - rank)
    assert f"rank {rank} of 2 has failed:" in own
    assert "MemoryError: out of memory, so to speak" in own
    assert f"rank {rank} has ended with exit code 1" in other
    assert "Traceback" not in other


def test_what_the_user_can_mend_is_one_line_and_exit_code_2_of_both(ranks, tiny_model):
    started(ranks, tiny_model, fault="mend")
    assert ended(ranks) == [2, 2]
    assert "\nthe user can mend it\n" in ranks.log(0)
    assert "rank 0 has ended with exit code 2" in ranks.log(1)
    assert "Traceback" not in ranks.logs


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_other(ranks, tiny_model, rank):
    started(ranks, tiny_model)
    ranks.processes[rank].kill()
    codes = ended(ranks)
    assert (codes[rank], codes[1 - rank]) == (-signal.SIGKILL, 1)
    assert f"rank {rank} is gone, killed or lost" in ranks.log(1 - rank)
    assert "Traceback" not in ranks.log(1 - rank)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_rank_that_never_comes_is_named(ranks, tiny_model, missing):
    ranks.start(1 - missing, __file__, tiny_model, "")
    wait_until(lambda: "waits for" in ranks.log(1 - missing), "a rank that waits")
    assert ended(ranks) == [1]
    assert f"rank {1 - missing} of 2: rank {missing} has not come" in ranks.logs
    assert "Traceback" not in ranks.logs


def test_a_rank_that_finds_no_first_one_says_where_it_looked(ranks, tiny_model):
    """Where no launcher keeps the place to meet, rank 0 has it."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = str(nobody.getsockname()[1])
        command = (__file__, tiny_model, "")
        ranks.start(1, *command, TORCHELASTIC_USE_AGENT_STORE="False", MASTER_PORT=port)
        wait_until(lambda: "waits for" in ranks.log(1), "a rank that waits")
        assert ended(ranks) == [1]
    assert f"rank 1 of 2: after 15 s no rank 0 at 127.0.0.1:{port}" in ranks.logs
    assert "Traceback" not in ranks.logs


def test_a_rank_that_is_told_to_stop_stops_both(ranks, tiny_model):
    """By rank 0, which would write a last checkpoint with the help of the other."""
    started(ranks, tiny_model)
    ranks.processes[1].terminate()
    assert ended(ranks) == [0, 0], ranks.logs
    assert "SIGTERM: rank 0 is asked to stop all ranks" in ranks.log(1)
    assert "rank 1 was told to stop" in ranks.log(0)


def test_a_launcher_that_tells_all_ranks_to_stop_tells_each_once(ranks, tiny_model):
    started(ranks, tiny_model)
    for rank in (1, 0):
        ranks.processes[rank].terminate()
    assert ended(ranks) == [0, 0], ranks.logs


def test_a_rank_that_is_told_to_stop_twice_ends_at_once(ranks, tiny_model):
    started(ranks, tiny_model)
    ranks.processes[0].send_signal(signal.SIGSTOP)  # it cannot stop the others meanwhile
    ranks.processes[1].terminate()
    wait_until(lambda: "SIGTERM" in ranks.log(1), "the first signal")
    ranks.processes[1].terminate()
    wait_until(lambda: ranks.codes[1] == EXIT_FORCED, "the second signal")
    ranks.processes[0].send_signal(signal.SIGCONT)
    assert ended(ranks) == [1, EXIT_FORCED], ranks.logs
    assert "rank 1 was told to stop" in ranks.log(0)


if __name__ == "__main__":
    be_a_rank(sys.argv[1], sys.argv[2])
