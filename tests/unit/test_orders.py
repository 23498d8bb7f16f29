"""What rank 0 tells the others arrives as it was; alone it is not even packed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.learner.step import Sequence
from services.learner.trainer.ranks import join, leave, pack, tell, unpack

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


def test_a_rank_that_is_alone_packs_nothing() -> None:
    """This order holds what cannot be packed."""
    with pytest.raises(AttributeError):
        pack({"do": print})
    join()
    try:
        tell({"do": print}, torch.device("cpu"))
    finally:
        leave()
