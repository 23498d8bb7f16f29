"""A run that goes on from a checkpoint is the run that was never interrupted.

Real DeepSpeed on the CPU, one process and several (gloo), ZeRO 1, 2 and 3, float32 and bfloat16.

`python tests/integration/test_resume.py write|resume DTYPE MODEL SOURCE DIRECTORY` is one rank.
"""

import math
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from deepspeed.utils import safe_get_full_fp32_param
from safetensors.torch import load_file
from torch import Tensor

from services.learner.trainer import ranks
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.optimizer_state import Stored
from tests.ranks import run_ranks
from tests.tiny_model import a_batch, tiny_recipe, write_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STAGES = (1, 2, 3)
BEFORE, AFTER = 3, 2
"""Steps before the checkpoint and after it."""

WAYS = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
"""Ranks before the checkpoint and after it; three, because no parameter divides by that."""

LR = 1e-4

NEAR = {"float32": 1e-6, "bfloat16": 2e-4}
"""Largest difference of a master when ranks or stage changed. bfloat16 gradients are rounded in
another order then, and Adam makes a step of about LR of even the smallest."""


# --- what the ranks run ------------------------------------------------------------------------


def a_trainer(stage: int, dtype: str, model: str) -> DeepSpeedTrainer:
    learner = {"zero_stage": stage, "tokens_per_micro_batch": 320}
    return DeepSpeedTrainer(tiny_recipe(model, dtype, learner=learner), model)


def train(trainer: DeepSpeedTrainer, first: int, count: int) -> None:
    for seed in range(first, first + count):
        trainer._train(a_batch(seed), LR, math.inf)


def load(trainer: DeepSpeedTrainer, directory: Path) -> None:
    trainer._load(Stored(directory) if trainer.rank == 0 else None)


def weights_are_the_masters_rounded(trainer: DeepSpeedTrainer) -> bool:
    parameters = dict(trainer._parameters())
    return all(
        torch.equal(weight, safe_get_full_fp32_param(parameters[name]).to(weight.dtype))
        for name, weight in trainer._named()
    )


def write(trainer: DeepSpeedTrainer, stage: int, directory: Path) -> None:
    """Train, save, go on."""
    train(trainer, 0, BEFORE)
    trainer._save(directory / f"{stage}-saved")
    train(trainer, BEFORE, AFTER)
    trainer._save(directory / f"{stage}-end")


def resume(trainer: DeepSpeedTrainer, stage: int, source: Path, directory: Path) -> None:
    """Go on from what was saved under each stage; its own first, as a fresh process does."""
    for before in sorted(STAGES, key=lambda other: other != stage):
        load(trainer, source / f"{before}-saved")
        assert weights_are_the_masters_rounded(trainer)
        trainer._save(directory / f"{before}-{stage}-loaded")
        train(trainer, BEFORE, AFTER)
        assert weights_are_the_masters_rounded(trainer)
        trainer._save(directory / f"{before}-{stage}-end")


def be_a_rank(what: str, dtype: str, model: str, source: Path, directory: Path) -> None:
    """Every rank runs this, so each calls what rank 0 would have told it to do."""
    for stage in STAGES:
        trainer = a_trainer(stage, dtype, model)
        if what == "write":
            write(trainer, stage, directory)
        else:
            resume(trainer, stage, source, directory)
    ranks.leave()


# --- the comparison ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def run(dtype: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one rank and two have written, and others have gone on from either."""
    directory = tmp_path_factory.mktemp(dtype)
    model = write_tiny_model(directory / "model", dtype=getattr(torch, dtype))

    def start(count: int, what: str, source: Path, target: Path) -> None:
        target.mkdir()
        run_ranks(count, __file__, what, dtype, model, str(source), str(target), logs=target)

    for before, after in WAYS:
        source = directory / f"by-{before}"
        if not source.exists():
            start(before, "write", source, source)
        start(after, "resume", source, directory / f"by-{before}-then-{after}")
    return directory


def state(directory: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in sorted(directory.glob("*.safetensors")):
        found |= load_file(path)
    assert found
    return found


def count(directory: Path) -> int:
    return Stored(directory).count


@pytest.mark.parametrize(("before", "after"), WAYS)
def test_any_number_of_ranks_and_any_stage_holds_what_another_saved(run, before, after):
    for old, new in product(STAGES, STAGES):
        saved = run / f"by-{before}" / f"{old}-saved"
        loaded = run / f"by-{before}-then-{after}" / f"{old}-{new}-loaded"
        same(state(saved), state(loaded))
        assert count(saved) == count(loaded) == BEFORE


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_steps_after_a_resume_are_bit_for_bit_those_without_it(run, ranks, stage):
    whole = run / f"by-{ranks}" / f"{stage}-end"
    resumed = run / f"by-{ranks}-then-{ranks}" / f"{stage}-{stage}-end"
    same(state(whole), state(resumed))
    assert count(whole) == count(resumed) == BEFORE + AFTER


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_the_steps_after_a_resume_with_other_ranks_are_nearly_those(run, dtype, before, after):
    for old, new in product(STAGES, STAGES):
        whole = state(run / f"by-{before}" / f"{old}-end")
        resumed = state(run / f"by-{before}-then-{after}" / f"{old}-{new}-end")
        far = max(float((t - resumed[key]).abs().max()) for key, t in whole.items())
        assert far <= NEAR[dtype], f"ZeRO {old}, then {new}"


def test_the_steps_moved_the_weights(run):
    """Otherwise the tests above would say nothing."""
    saved, end = (state(run / "by-1" / f"1-{when}") for when in ("saved", "end"))
    moved = [float((end[key] - t).abs().max()) for key, t in saved.items() if "master" in key]
    assert min(moved) > LR / 10


def test_no_file_of_a_saved_state_is_a_pickle(run):
    files = [path for path in (run / "by-1" / "1-saved").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors"}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [key for key, tensor in one.items() if not torch.equal(tensor, other[key])] == []


if __name__ == "__main__":
    be_a_rank(*sys.argv[1:4], *map(Path, sys.argv[4:6]))
