"""What the trainer hands to the weight channel is what it trains, however that is shared out.

Real DeepSpeed on the CPU, one process and two (gloo), ZeRO 1, 2 and 3.

`python tests/integration/test_trainer.py DIRECTORY WAY ...` is one rank. One that follows ends when
rank 0 closes its trainer, so several ranks go only one way; one alone goes all.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from openrs_core.weights import Snapshot
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.model.weights import base_policy
from tests.ranks import run_ranks
from tests.tiny_model import a_batch, tiny_recipe, write_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(200)]

STEPS = 3
LR = {"float32": 1e-4, "bfloat16": 1e-6}
"""In float32 everything changes. A value w in bfloat16 changes when its master passes the middle
between two neighbours, some |w| / 2^8 apart. A step is about the learning rate, so that happens to
2^8 LR / |w| of the values: with weights of 0.06 and smaller, to some 2 in a hundred."""


# --- what the ranks run ------------------------------------------------------------------------


def be_a_rank(directory: Path, ways: list[str]) -> None:
    for way in ways:
        dtype, stage = way.split("-")
        model, learner = directory / dtype, {"zero_stage": int(stage), "warmup_steps": 0}
        trainer = DeepSpeedTrainer(tiny_recipe(str(model), dtype, learner=learner), str(model))
        if trainer.rank:
            trainer.follow()
            return
        lead(trainer, LR[dtype], directory / way)
    trainer.close()


def lead(trainer: DeepSpeedTrainer, lr: float, directory: Path) -> None:
    snapshot, lines = trainer.weights(), []
    lines.append({"digest": snapshot.digest(), "values": 0})
    for step in range(STEPS):
        trainer.train(a_batch(step), lr)
        change = trainer.change()
        snapshot.apply(change)
        trainer.write_model(directory / str(step + 1))
        lines.append({"digest": snapshot.digest(), "values": change.values})
    (directory / "lines.json").write_text(json.dumps(lines))
    trainer.save(directory / "optimizer")
    trainer.train(a_batch(STEPS), lr)
    trainer.write_policy(snapshot, directory / "before")
    trainer.load(directory / "optimizer")
    (directory / "restored").write_text(trainer.weights().digest())


# --- what is expected --------------------------------------------------------------------------


BFLOAT16 = [f"bfloat16-{stage}" for stage in (1, 2, 3)]
BY_ONE = ["float32-1", *BFLOAT16]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Path]:
    """Directory where a number of ranks have gone a way, and others if it is one rank."""
    made: dict[tuple[int, str], Path] = {}

    def by(ranks: int, way: str) -> Path:
        if (ranks, way) not in made:
            directory, ways = tmp_path_factory.mktemp("trained"), BY_ONE if ranks == 1 else [way]
            made.update({(ranks, each): directory for each in ways})
            for dtype in {each.split("-")[0] for each in ways}:
                write_tiny_model(directory / dtype, dtype=getattr(torch, dtype))
            run_ranks(ranks, __file__, str(directory), *ways, logs=directory)
        return made[ranks, way]

    return by


@pytest.mark.parametrize(
    ("ranks", "way"), [*((1, way) for way in BY_ONE), *((2, way) for way in BFLOAT16)]
)
def test_the_changes_lead_to_the_weights_that_are_trained(trained, ranks, way):
    """By the digest of what the trainer writes as a model, read back as a sampler reads it."""
    directory, dtype = trained(ranks, way), way.split("-")[0]
    model, place = str(directory / dtype), directory / way
    lines = json.loads((place / "lines.json").read_text())
    assert lines[0]["digest"] == base_policy(model, dtype).digest(), "version 0 is the base model"
    for version in range(1, STEPS + 1):
        assert lines[version]["digest"] == written(place / str(version), dtype).digest()
    values = sum(tensor.numel() for tensor in load_file(Path(model, "model.safetensors")).values())
    shares = [line["values"] / values for line in lines[1:]]
    assert min(shares) > 0.9 if dtype == "float32" else 0 < max(shares) < 0.2
    assert (place / "restored").read_text() == lines[-1]["digest"]


@pytest.mark.parametrize(("ranks", "way"), [*((1, way) for way in BY_ONE), (2, BFLOAT16[2])])
def test_a_policy_that_was_published_is_written_although_the_trainer_is_ahead(trained, ranks, way):
    """By rank 0 alone, and as a whole model: weights under their names, and a configuration."""
    place, dtype = trained(ranks, way) / way, way.split("-")[0]
    assert written(place / "before", dtype).digest() == written(place / str(STEPS), dtype).digest()
    both = [
        json.loads((place / name / "config.json").read_text()) for name in ("before", str(STEPS))
    ]
    assert both[0] == both[1]


def written(directory: Path, dtype: str) -> Snapshot:
    return base_policy(str(directory), dtype)


if __name__ == "__main__":
    be_a_rank(Path(sys.argv[1]), sys.argv[2:])
