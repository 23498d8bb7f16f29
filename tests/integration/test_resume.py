"""A run that goes on from a checkpoint is the run that was never interrupted.

Real DeepSpeed on the CPU, one process and several (gloo), ZeRO 1, 2 and 3, float32 and bfloat16.

`python tests/integration/test_resume.py MODEL DIRECTORY [RANKS ...]` is one rank: it writes
checkpoints, or goes on from those that so many ranks have written.
"""

import math
import sys
from collections.abc import Iterable
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from deepspeed.utils import safe_get_full_fp32_param
from safetensors.torch import load_file
from torch import Tensor

from services.learner.trainer import ranks
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.optimizer_state import KINDS, Stored
from tests.observed import UNIT
from tests.ranks import run_ranks
from tests.tiny_model import a_batch, tiny_recipe, write_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(600)]

STAGES = (1, 2, 3)
DTYPES = ("float32", "bfloat16")
BEFORE, AFTER = 3, 2
"""Steps before the checkpoint and after it."""

WAYS = [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)]
"""Ranks before the checkpoint and after it; three, because no parameter divides by that."""

LR, BETAS, EPSILON = 1e-4, (0.9, 0.95), 1e-8

ALGORITHM = {"kl_weight": 0.1, "top_entropy_share": 0.5}
"""With a reference that is reset before the checkpoint, and a look at all entropies."""
ENTROPY_WEIGHT = 0.01

SAME_GRADIENT = 1e-3
"""Relative difference of gradients that are the same but for rounding. What came back wrong would
change them by far more; what rounding may do is the matter of test_gradient.py."""


# --- what the ranks run ------------------------------------------------------------------------


def a_trainer(stage: int, dtype: str, model: str) -> DeepSpeedTrainer:
    """One sequence to a micro-batch, and nothing scaled down: the gradient of a step is the sum of
    the same terms, however many ranks there are."""
    learner = {"zero_stage": stage, "betas": BETAS, "max_grad_norm": 1e9}
    recipe = tiny_recipe(model, dtype, learner=learner, algorithm=ALGORITHM)
    trainer = DeepSpeedTrainer(recipe, model)
    trainer._rules = trainer._rules.model_copy(update={"tokens_per_micro_batch": 1})
    return trainer


def train(trainer: DeepSpeedTrainer, first: int, count: int) -> None:
    for seed in range(first, first + count):
        trainer._train(a_batch(seed), LR, math.inf, ENTROPY_WEIGHT)


def load(trainer: DeepSpeedTrainer, directory: Path) -> None:
    trainer._load(Stored(directory) if trainer.rank == 0 else None)


def weights_are_the_masters_rounded(trainer: DeepSpeedTrainer) -> bool:
    parameters = dict(trainer._parameters())
    return all(
        torch.equal(weight, safe_get_full_fp32_param(parameters[name]).to(weight.dtype))
        for name, weight in trainer._named()
    )


def write(trainer: DeepSpeedTrainer, directory: Path) -> None:
    """Train, with a reset on the way, save, go on."""
    train(trainer, 0, BEFORE - 1)
    trainer._save(Path(f"{directory}-first"))
    trainer._reference.reset(trainer._named())
    train(trainer, BEFORE - 1, 1)
    trainer._save(Path(f"{directory}-saved"))
    train(trainer, BEFORE, 1)
    trainer._save(Path(f"{directory}-next"))
    train(trainer, BEFORE + 1, AFTER - 1)
    trainer._save(Path(f"{directory}-end"))


def resume(trainer: DeepSpeedTrainer, source: Path, directory: Path) -> None:
    """Go on from what was saved."""
    load(trainer, Path(f"{source}-saved"))
    assert weights_are_the_masters_rounded(trainer)
    trainer._save(Path(f"{directory}-loaded"))
    train(trainer, BEFORE, 1)
    trainer._save(Path(f"{directory}-next"))
    train(trainer, BEFORE + 1, AFTER - 1)
    assert weights_are_the_masters_rounded(trainer)
    trainer._save(Path(f"{directory}-end"))


def be_a_rank(model: str, directory: Path, before: list[int]) -> None:
    """Every rank runs this, so each calls what rank 0 would have told it to do."""
    ranks.join()
    after = dist.get_world_size()
    for dtype, stage in product(DTYPES, STAGES):
        trainer = a_trainer(stage, dtype, model)
        if not before:
            write(trainer, place(directory, dtype, after, stage))
        sources = product(before, STAGES)  # its own first, as a fresh process does
        for source in sorted(sources, key=lambda source: source != (after, stage)):
            there = place(directory, dtype, *source)
            resume(trainer, there, place(directory, dtype, *source, after, stage))
    ranks.leave()


def place(directory: Path, dtype: str, *way: int) -> Path:
    """Where a number of ranks and a stage have written, or others have gone on from them."""
    return directory / "-".join([dtype, *map(str, way)])


# --- the comparison ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one rank and two have written, and others have gone on from either."""
    directory = tmp_path_factory.mktemp("run")
    model = write_tiny_model(directory / "model")

    def start(count: int, before: Iterable[int]) -> None:
        run_ranks(count, __file__, model, str(directory), *map(str, before), logs=directory)

    for count in (1, 2):
        start(count, [])
    for count in (1, 2, 3):
        start(count, [before for before, after in WAYS if after == count])
    return directory


@cache
def state(directory: Path, what: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in sorted(Path(f"{directory}-{what}").glob("*.safetensors")):
        found |= load_file(path)
    assert found
    return found


def count(directory: Path, what: str) -> int:
    return Stored(Path(f"{directory}-{what}")).count


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("before", "after"), WAYS)
def test_any_number_of_ranks_and_any_stage_holds_what_another_saved(run, dtype, before, after):
    for old, new in product(STAGES, STAGES):
        saved, resumed = (
            place(run, dtype, before, old),
            place(run, dtype, before, old, after, new),
        )
        same(state(saved, "saved"), state(resumed, "loaded"))
        assert count(saved, "saved") == count(resumed, "loaded") == BEFORE


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_steps_after_a_resume_are_bit_for_bit_those_without_it(run, dtype, ranks, stage):
    whole, resumed = place(run, dtype, ranks, stage), place(run, dtype, ranks, stage, ranks, stage)
    same(state(whole, "end"), state(resumed, "end"))
    assert count(whole, "end") == count(resumed, "end") == BEFORE + AFTER


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_reference_that_was_reset_is_the_policy_of_that_moment(run, dtype, ranks, stage):
    """The base model is in no checkpoint; what it was reset to is in every one, rounded."""
    whole = place(run, dtype, ranks, stage)
    first, saved, end = (state(whole, when) for when in ("first", "saved", "end"))
    names = [key.removesuffix(".master") for key in first if key.endswith(".master")]
    assert set(first) == {f"{name}.{kind}" for name in names for kind in KINDS}
    for found in (saved, end, state(place(run, dtype, ranks, stage, ranks, stage), "end")):
        wrong = [
            name
            for name in names
            if not torch.equal(found[name], first[f"{name}.master"].to(getattr(torch, dtype)))
        ]
        assert wrong == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("before", "after"), WAYS)
def test_a_step_after_a_resume_is_adamw_s_from_what_was_saved(run, dtype, before, after):
    for old, new in product(STAGES, STAGES):
        saved = state(place(run, dtype, before, old), "saved")
        stepped = state(place(run, dtype, before, old, after, new), "next")
        assert not_adamw_s(saved, stepped) == [], f"ZeRO {old}, then {new}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("before", "after"), [way for way in WAYS if 3 not in way])
def test_a_step_after_a_resume_has_the_gradient_of_the_step_without_it(run, dtype, before, after):
    """But for three ranks: ZeRO-3 makes an average of the sum, so the loss is tripled, and a
    bfloat16 gradient of three times the loss is not rounded as one of the loss is."""
    for old, new in product(STAGES, STAGES):
        whole = place(run, dtype, before, old)
        resumed = state(place(run, dtype, before, old, after, new), "next")
        expected, found = (
            torch.cat([part.flatten() for part in gradient(state(whole, "saved"), end).values()])
            for end in (state(whole, "next"), resumed)
        )
        assert (found - expected).norm() <= SAME_GRADIENT * expected.norm(), f"ZeRO {old}, {new}"


def gradient(saved: dict[str, Tensor], stepped: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the step between two states, by parameter: m' = b m + (1 - b) g."""
    keys = [key for key in saved if key.endswith(".exp_avg")]
    kept = BETAS[0]
    return {
        key.removesuffix(".exp_avg"): (stepped[key].double() - kept * saved[key]) / (1 - kept)
        for key in keys
    }


def not_adamw_s(saved: dict[str, Tensor], stepped: dict[str, Tensor]) -> list[str]:
    """Parameters that one step of AdamW, in float32, does not lead from one state to the other.

    Its formulas in float64, and a rounding (UNIT of the value) for each operation of it in float32:
    m' = m + (1 - b)(g - m) has four, so g is known within 4 UNIT (|m'| + |m|) / (1 - b);
    v' = c v + (1 - c) g² has six, all of positive values, besides what is unknown of g;
    the step, a quotient of m' and v', has ten, and is subtracted with one more. Nothing here is
    near 0 but the smallest numbers of float32, which may become 0.
    """
    wrong, (kept, squares), number = [], BETAS, BEFORE + 1
    for name, g in gradient(saved, stepped).items():
        w, m, v = (saved[f"{name}.{kind}"].double() for kind in KINDS)
        w1, m1, v1 = (stepped[f"{name}.{kind}"].double() for kind in KINDS)
        unsure = 4 * UNIT * (m1.abs() + m.abs()) / (1 - kept)
        square = squares * v + (1 - squares) * g**2
        v_far = (1 - squares) * (2 * g.abs() + unsure) * unsure + 6 * UNIT * square + 2.0**-126
        step = m1 / ((v1 / (1 - squares**number)).sqrt() + EPSILON) * LR / (1 - kept**number)
        w_far = UNIT * (10 * step.abs() + w1.abs()) + 2.0**-126
        if ((v1 - square).abs() > v_far).any() or ((w - step - w1).abs() > w_far).any():
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("kind", KINDS)
def test_what_came_back_wrong_in_the_fifth_digit_would_be_noticed(run, kind):
    whole = place(run, "bfloat16", 1, 1)
    saved, stepped = state(whole, "saved"), state(whole, "next")
    wrong = {key: t * (1 + 1e-5) if key.endswith(f".{kind}") else t for key, t in saved.items()}
    assert not_adamw_s(wrong, stepped) != [] == not_adamw_s(saved, stepped)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_steps_moved_the_weights(run, dtype):
    """Otherwise the tests above would say nothing."""
    saved, end = (state(place(run, dtype, 1, 1), when) for when in ("saved", "end"))
    moved = [float((end[key] - t).abs().max()) for key, t in saved.items() if "master" in key]
    assert min(moved) > LR / 10


def test_no_file_of_a_saved_state_is_a_pickle(run):
    saved = Path(f"{place(run, 'float32', 1, 1)}-saved")
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors"}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [key for key, tensor in one.items() if not torch.equal(tensor, other[key])] == []


if __name__ == "__main__":
    be_a_rank(sys.argv[1], Path(sys.argv[2]), [int(count) for count in sys.argv[3:]])
