"""A real model in the real ring: after each version vLLM holds the learner's weights, by digest."""

import json

import pytest

from tests.e2e.smollm2_ring import run_ring
from tests.smollm2 import smollm2_directory

pytestmark = [pytest.mark.e2e, pytest.mark.redis, pytest.mark.arithmetic, pytest.mark.timeout(400)]

STEPS = 2

SMALL = (
    "learner.groups_per_step=1", "learner.group_size=2", "data.system_prompt='Sum.'",
    "sampler.max_tokens=4", "scorer.cosine.unit='characters'",
)  # fmt: skip
"""Steps of fewer than a hundred tokens: a CPU may have to emulate bfloat16. Answers that all have
the same number of tokens differ in characters, so that nearly every group has a signal."""

needs_smollm2 = pytest.mark.skipif(
    not (smollm2_directory() / "config.json").exists(),
    reason="SmolLM2-135M is not here: `make smollm2` fetches it",
)


@needs_smollm2
def test_smollm2s_weights_reach_vllm_bit_for_bit_as_sparse_deltas(tmp_path, redis_url, client):
    """`sampler.check_weights` compares after every update; a difference would end the sampler."""
    run = run_ring(
        tmp_path, redis_url, "smollm2", *SMALL, "learner.lr=1e-5", f"learner.steps={STEPS + 1}",
        "learner.snapshot_every=2", "learner.checkpoint_every=100",
    )  # fmt: skip
    recipe = json.loads((run.directory / "recipe.json").read_text())
    assert recipe["sampler"]["check_weights"]
    noted = [note.version for note in run.taken]
    assert noted[: STEPS + 1] == list(range(STEPS + 1)), "the last may come after the end"
    deltas = [line for line in run.published if line["form"] == "delta"]
    assert [line["version"] for line in deltas] == list(range(1, STEPS + 2))
    assert all(0 < line["size"] < 0.05 * line["whole_size"] for line in deltas)
