"""What rank 0 tells the others arrives as it was; alone it is not even packed. And what is refused
before there is anything to tell."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.errors import RanksError, RunError
from services.learner.step import Sequence
from services.learner.trainer.ranks import _sum_once, join, leave, pack, tell, unpack
from services.learner.trainer.watch import Place, place

pytestmark = pytest.mark.arithmetic

tokens = st.lists(st.integers(0, 2**31 - 1)).map(tuple)
numbers = st.floats(allow_nan=False)
logprobs = st.lists(st.floats(max_value=0, width=32)).map(tuple)
sequences = st.builds(Sequence, tokens, tokens, logprobs, numbers, numbers)


@given(batch=st.lists(sequences, max_size=4), lr=numbers)
def test_sequences_arrive_as_they_were(batch: list[Sequence], lr: float) -> None:
    order = unpack(pack({"do": "train", "sequences": batch, "how": {"lr": lr}}))
    found = [Sequence(*values) for values in order["sequences"]]
    assert found == batch
    assert order["how"] == {"lr": lr}
    for one, other in zip(found, batch, strict=True):  # bit for bit as the float32 they were
        ours, theirs = (np.float32(each.behaviour_logprobs) for each in (one, other))
        assert ours.tobytes() == theirs.tobytes()


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group of one rank."""
    join()
    yield
    leave()


@pytest.mark.usefixtures("alone")
def test_a_rank_that_is_alone_packs_nothing():
    """This order holds what cannot be packed."""
    with pytest.raises(AttributeError):
        pack({"do": print})
    tell({"do": print}, torch.device("cpu"))


@pytest.mark.usefixtures("alone")
def test_a_first_sum_that_is_wrong_says_what_to_try():
    """Of two ranks it would be 3; the one that is there makes it 1."""
    _sum_once(Place(0, 1), "cpu")
    with pytest.raises(RanksError, match="NCCL_P2P_DISABLE=1"):
        _sum_once(Place(0, 2), "cpu")


def test_what_hangs_in_a_library_ends_with_a_line_and_exit_code_1():
    code = (
        "import threading\n"
        "from services.learner.trainer.ranks import Place, _deadline\n"
        "with _deadline(Place(0, 2), 0.1, 'no first sum'):\n"
        "    threading.Event().wait()\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert "rank 0 of 2: after 0.1 s no first sum" in found.stderr


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("x", "2"), ("0", "")])
def test_a_place_that_no_launcher_sets_is_refused(monkeypatch, rank, size):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(RunError, match=f"RANK={rank}, WORLD_SIZE={size}: a launcher sets them"):
        place()
