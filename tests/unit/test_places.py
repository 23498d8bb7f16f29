"""A change goes where vLLM's own loading puts it: fused, padded, tied or cut in blocks."""

import numpy as np
import pytest
import torch
from torch import nn

from openrs_core.errors import ProtocolError, RunError
from openrs_core.weights import Layout, Snapshot, Tensor
from services.sampler.worker.places import Block, Places, joined
from services.sampler.worker.watch import load
from tests.weights import difference

LAYOUT = Layout(
    [
        Tensor("embed.weight", "bfloat16", (6, 4)),
        Tensor("k.weight", "bfloat16", (2, 4)),
        Tensor("norm.weight", "float32", (4,)),
        Tensor("out.weight", "bfloat16", (4, 8)),
        Tensor("q.weight", "bfloat16", (4, 4)),
    ]
)


class Fused(nn.Module):
    """Loads as a vLLM model does: q over k in one parameter, a padded and tied embedding, and of
    the output the columns of one of two workers."""

    def __init__(self, worker: int = 1) -> None:
        super().__init__()
        self.worker = worker
        self.embed = nn.Parameter(torch.zeros(8, 4, dtype=torch.bfloat16), requires_grad=False)
        self.head = self.embed
        self.qk = nn.Parameter(torch.zeros(6, 4, dtype=torch.bfloat16), requires_grad=False)
        self.norm = nn.Parameter(torch.zeros(4), requires_grad=False)
        self.out = nn.Parameter(torch.zeros(4, 4, dtype=torch.bfloat16), requires_grad=False)

    def load_weights(self, weights) -> None:
        for name, tensor in weights:
            if name == "embed.weight":
                self.embed[:6].data.copy_(tensor)
            elif name == "out.weight":
                self.out.data.copy_(tensor.narrow(1, 4 * self.worker, 4))
            elif name == "norm.weight":
                self.norm.data.copy_(tensor)
            else:
                start = {"q.weight": 0, "k.weight": 4}[name]
                self.qk.data.narrow(0, start, len(tensor)).copy_(tensor)


def a_policy(seed: int) -> Snapshot:
    random = np.random.default_rng(seed)
    return Snapshot(LAYOUT, random.integers(0, 100, LAYOUT.nbytes, np.uint8))


def state(model: nn.Module) -> dict[str, bytes]:
    return {n: p.flatten().view(torch.uint8).numpy().tobytes() for n, p in model.named_parameters()}


def loaded(policy: Snapshot, worker: int = 1) -> tuple[Fused, Places]:
    model = Fused(worker)
    return model, load(model, LAYOUT, policy.whole())


@pytest.mark.parametrize("share", [0.05, 0.5], ids=["sparse", "dense"])
def test_a_written_change_equals_a_whole_load(share):
    old, random = a_policy(0), np.random.default_rng(1)
    for _ in range(20):
        new = old.copy()
        for number in range(len(LAYOUT.tensors)):
            words = new.tensor(number)
            words[random.random(len(words)) < share] ^= 3
        model, places = loaded(old)
        places.write(model, difference(old, new))
        assert state(model) == state(loaded(new)[0])


def test_what_was_written_is_read_back():
    """But for the columns that another worker has."""
    model, places = loaded(a_policy(0))
    places.write(model, difference(a_policy(0), a_policy(1)))
    expected = a_policy(1)
    expected.tensor(LAYOUT.number["out.weight"]).reshape(4, 8)[:, :4] = 0
    assert joined(LAYOUT, places.read(model)).digest() == expected.digest()


def test_what_two_workers_hold_makes_up_the_policy():
    blocks = blocks_of_two_workers()
    assert joined(LAYOUT, blocks).digest() == a_policy(1).digest()
    q, out = (LAYOUT.number[name] for name in ("q.weight", "out.weight"))
    assert [block.values.size for block in blocks if block.number == q] == [16, 16]
    assert [block.values.size for block in blocks if block.number == out] == [16, 16]


@pytest.mark.parametrize("stale", [0, 1], ids=["the first", "the second"])
def test_two_workers_that_hold_different_values_are_found_out(stale):
    """Of a tensor that each has whole; either may be the one that missed an update."""
    workers = [loaded(a_policy(0), worker) for worker in range(2)]
    model, places = workers[1 - stale]
    new = a_policy(0)
    new.tensor(LAYOUT.number["norm.weight"])[2] ^= 1
    places.write(model, difference(a_policy(0), new))
    blocks = [block for model, places in workers for block in places.read(model)]
    with pytest.raises(ProtocolError, match=r"different values of norm\.weight"):
        joined(LAYOUT, blocks)


def blocks_of_two_workers() -> list[Block]:
    """After a change that both have written."""
    blocks = []
    for worker in range(2):
        model, places = loaded(a_policy(0), worker)
        places.write(model, difference(a_policy(0), a_policy(1)))
        blocks += places.read(model)
    return blocks


def test_a_tied_head_moves_with_its_embedding():
    old, (model, places) = a_policy(0), loaded(a_policy(0))
    new = old.copy()
    new.tensor(LAYOUT.number["embed.weight"])[5] ^= 1
    before = model.head[1, 1].item()
    places.write(model, difference(old, new))
    assert model.head[1, 1].item() != before


def test_every_model_has_places_of_its_own():
    (one, places), (other, _) = loaded(a_policy(0)), loaded(a_policy(0))
    places.write(one, difference(a_policy(0), a_policy(1)))
    assert state(one) == state(loaded(a_policy(1))[0])
    assert state(other) == state(loaded(a_policy(0))[0])


def test_a_tensor_that_is_kept_in_another_form_is_refused_by_name():
    class Converting(Fused):
        def load_weights(self, weights) -> None:
            for name, tensor in weights:
                if name == "norm.weight":
                    self.norm.data.copy_(tensor * 2)
                else:
                    super().load_weights([(name, tensor)])

    with pytest.raises(RunError, match=r"vLLM keeps norm\.weight in another form"):
        load(Converting(), LAYOUT, a_policy(0).whole())


def test_a_layout_with_an_unplaced_tensor_is_refused():
    with pytest.raises(RunError, match=r"embed\.weight|norm\.weight"):
        Places(LAYOUT, {})
