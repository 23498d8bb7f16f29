"""What a step changed, found on the host and on a device: the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from openrs_core.weights import Layout
from services.learner.trainer.difference import Difference, changed_on_device, spec
from services.model.weights import tensors_of
from tests.weights import difference, pairs


@settings(deadline=None)
@given(pairs())
def test_both_ways_of_comparing_find_the_same(pair):
    """The way for GPUs is run on the CPU here; it uses nothing that only one of them has."""
    old, new = pair
    found = []
    for number in range(len(old.layout.tensors)):
        last, now = (
            torch.from_numpy(side.tensor(number).view(f"<i{side.tensor(number).itemsize}").copy())
            for side in pair
        )
        if part := changed_on_device(number, last, now):
            found.append(part)
    expected = difference(old, new).parts
    assert [part.number for part in found] == [part.number for part in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.values.tobytes() == theirs.values.tobytes()
        assert (ours.positions is None) == (theirs.positions is None)
        if ours.positions is not None:
            assert np.array_equal(ours.positions, theirs.positions)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_changes_since_the_beginning_lead_to_the_weights_of_now(dtype):
    tensors = {"b": torch.randn(40, 50).to(dtype), "a": torch.randn(30).to(dtype)}
    tracked = Difference(Layout(spec(n, t, t.shape) for n, t in tensors.items()))
    snapshot = tracked.begin(tensors.items())
    for share in (0.01, 0.0, 0.5, 0.03):
        for tensor in tensors.values():
            tensor += (torch.rand(tensor.shape) < share).to(dtype)
        snapshot.apply(tracked.take(tensors.items()))
        fresh = Difference(snapshot.layout).begin(tensors.items())
        assert snapshot.digest() == fresh.digest()


def test_a_change_does_not_move_with_the_weights():
    """It is packed beside the next step, which changes the weights in place."""
    tensors = {"a": torch.zeros(100)}
    tracked = Difference(Layout([spec("a", tensors["a"], (100,))]))
    tracked.begin(tensors.items())
    tensors["a"][3] = 1.0
    sparse = tracked.take(tensors.items())
    tensors["a"] += 1.0
    dense = tracked.take(tensors.items())
    tensors["a"] += 1.0
    assert sparse.parts[0].values.view("<f4").tolist() == [1.0]
    assert set(dense.parts[0].values.view("<f4").tolist()) == {1.0, 2.0}


def test_the_change_of_several_steps_leads_from_the_last_published_policy_to_the_newest():
    """What was withheld is published in one go."""
    tensors = {"a": torch.randn(300), "b": torch.randn(20, 30)}
    tracked = Difference(Layout(spec(n, t, t.shape) for n, t in tensors.items()))
    snapshot = tracked.begin(tensors.items())
    for _step in range(3):
        for tensor in tensors.values():
            tensor += (torch.rand(tensor.shape) < 0.02).float()
    snapshot.apply(tracked.take(tensors.items()))
    fresh = Difference(snapshot.layout).begin(tensors.items())
    assert snapshot.digest() == fresh.digest()
    assert not tracked.take(tensors.items()).parts


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_published_policy_is_written_as_the_tensors_it_was_made_of(dtype):
    tensors = {"b": torch.randn(4, 5).to(dtype), "a": torch.randn(7).to(dtype)}
    snapshot = Difference(Layout(spec(n, t, t.shape) for n, t in tensors.items())).begin(
        tensors.items()
    )
    found = tensors_of(snapshot)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], tensor)
