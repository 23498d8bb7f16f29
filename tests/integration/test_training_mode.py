"""The policy is trained in training mode: recomputed where the recipe says so, and drops nothing.

Real DeepSpeed on the CPU, one process and two (gloo), ZeRO 1, 2 and 3.

`python tests/integration/test_training_mode.py MODEL DIRECTORY` is one rank.
"""

import json
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from services.learner.step import Sequence
from services.learner.trainer import ranks
from services.learner.trainer.batch import MicroBatch
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.totals import Totals
from tests.ranks import run_ranks
from tests.tiny_model import tiny_recipe, write_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(300)]

STAGES = (1, 2, 3)
BOTH = (False, True)
LAYERS = 2


# --- what the ranks run ------------------------------------------------------------------------


class Watched(DeepSpeedTrainer):
    """Counts how often layers are run in a step, and keeps the gradient."""

    def __init__(self, model: str, stage: int, recompute: bool) -> None:
        learner = {"zero_stage": stage, "gradient_checkpointing": recompute}
        algorithm = {"kl_weight": 0.1}
        super().__init__(tiny_recipe(model, learner=learner, algorithm=algorithm), model)
        self.runs = {"policy": 0, "reference": 0}
        networks = {"policy": self._engine.module, "reference": self._reference._network}
        for name, network in networks.items():
            for layer in network.model.model.layers:
                layer.register_forward_pre_hook(lambda *_, name=name: self._count(name))

    def _count(self, name: str) -> None:
        self.runs[name] += 1

    def _backward(self, batch: MicroBatch, totals: Totals) -> None:
        from deepspeed.utils import safe_get_full_grad

        super()._backward(batch, totals)
        named = self._engine.module.model.named_parameters()
        self.gradient = {name: safe_get_full_grad(p).float().clone() for name, p in named}


def be_a_rank(model: str, directory: Path) -> None:
    """Every rank runs this, so each calls what rank 0 would have told it to do."""
    for stage, recompute in product(STAGES, BOTH):
        trainer = Watched(model, stage, recompute)
        trainer._train(two_sequences(), 0.0, 1e6)
        if trainer.rank == 0:
            save_file(trainer.gradient, directory / f"{stage}-{recompute}.safetensors")
            (directory / f"{stage}-{recompute}.json").write_text(json.dumps(trainer.runs))
    ranks.leave()


def two_sequences() -> list[Sequence]:
    """Of unlike length: one micro-batch, of padded rows; a second rank has none of its own."""
    draw = torch.Generator().manual_seed(0)
    return [
        Sequence(
            prompt=(5, 6, 7),
            completion=tuple(torch.randint(3, 260, (length,), generator=draw).tolist()),
            behaviour_logprobs=(-5.0,) * length,
            advantage=gain,
            weight=1 / 30,
        )
        for length, gain in ((12, 1.0), (18, -1.0))
    ]


# --- what is expected --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Directory with what a number of ranks saw; made once."""
    made: dict[int, Path] = {}

    def by(count: int) -> Path:
        if count not in made:
            made[count] = tmp_path_factory.mktemp("trained")
            model = write_tiny_model(made[count] / "model")
            run_ranks(count, __file__, model, str(made[count]), logs=made[count])
        return made[count]

    return by


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("count", [1, 2])
def test_each_layer_of_the_policy_is_recomputed_where_the_recipe_says_so(trained, count, stage):
    """And none of the reference, which has no backward pass."""
    for recompute in BOTH:
        runs = json.loads((trained(count) / f"{stage}-{recompute}.json").read_text())
        assert runs == {"policy": LAYERS * (2 if recompute else 1), "reference": LAYERS}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("count", [1, 2])
def test_the_gradient_is_the_same_with_layers_recomputed(trained, count, stage):
    """Bit for bit: the same operations on the same values."""
    kept, recomputed = (gradient(trained(count), stage, recompute) for recompute in BOTH)
    assert kept.keys() == recomputed.keys()
    assert all(torch.equal(kept[name], recomputed[name]) for name in kept)
    assert all(value.any() for value in kept.values())


def gradient(directory: Path, stage: int, recompute: bool) -> dict[str, Tensor]:
    return load_file(directory / f"{stage}-{recompute}.safetensors")


if __name__ == "__main__":
    be_a_rank(sys.argv[1], Path(sys.argv[2]))
