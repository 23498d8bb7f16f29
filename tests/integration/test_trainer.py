"""What the trainer hands to the weight channel is what it trains, however that is shared out.

Real DeepSpeed on the CPU, one process and two (gloo), ZeRO 1, 2 and 3.

`python tests/integration/test_trainer.py STAGE DTYPE MODEL DIRECTORY` is one rank.
"""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from openrs_core.weights import Snapshot
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.model.weights import base_policy
from tests.ranks import run_ranks
from tests.tiny_model import a_batch, tiny_recipe, write_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

STEPS = 3
LR = {"float32": 1e-4, "bfloat16": 1e-6}
"""In float32 everything changes; in bfloat16 at this rate a few values in a hundred do."""


# --- what the ranks run ------------------------------------------------------------------------


def be_a_rank(stage: int, dtype: str, model: str, directory: Path) -> None:
    recipe = tiny_recipe(model, dtype, learner={"zero_stage": stage, "warmup_steps": 0})
    trainer = DeepSpeedTrainer(recipe, model)
    if trainer.rank:
        trainer.follow()
        return
    snapshot, lines = trainer.weights(), []
    lines.append({"digest": snapshot.digest(), "values": 0})
    for step in range(STEPS):
        trainer.train(a_batch(step), LR[dtype])
        change = trainer.change()
        snapshot.apply(change)
        trainer.write_model(directory / str(step + 1))
        lines.append({"digest": snapshot.digest(), "values": change.values})
    (directory / "lines.json").write_text(json.dumps(lines))
    trainer.save(directory / "optimizer")
    trainer.train(a_batch(STEPS), LR[dtype])
    trainer.load(directory / "optimizer")
    (directory / "restored").write_text(trainer.weights().digest())
    trainer.close()


# --- what is expected --------------------------------------------------------------------------


WAYS = [("bfloat16", stage, ranks) for stage in (1, 2, 3) for ranks in (1, 2)]


@pytest.mark.parametrize(("dtype", "stage", "ranks"), [("float32", 1, 1), *WAYS])
def test_the_changes_lead_to_the_weights_that_are_trained(tmp_path, dtype, stage, ranks):
    """By the digest of what the trainer writes as a model, read back as a sampler reads it."""
    model = write_tiny_model(tmp_path / "model", dtype=getattr(torch, dtype))
    run_ranks(ranks, __file__, str(stage), dtype, model, str(tmp_path), logs=tmp_path)
    lines = json.loads((tmp_path / "lines.json").read_text())
    assert lines[0]["digest"] == base_policy(model, dtype).digest(), "version 0 is the base model"
    for version in range(1, STEPS + 1):
        assert lines[version]["digest"] == written(tmp_path / str(version), dtype).digest()
    values = sum(tensor.numel() for tensor in load_file(Path(model, "model.safetensors")).values())
    shares = [line["values"] / values for line in lines[1:]]
    assert min(shares) > 0.9 if dtype == "float32" else 0 < max(shares) < 0.2
    assert (tmp_path / "restored").read_text() == lines[-1]["digest"]


def written(directory: Path, dtype: str) -> Snapshot:
    return base_policy(str(directory), dtype)


if __name__ == "__main__":
    be_a_rank(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
