"""Advantages, and what is left out of a batch, against TRL 1.16's own trainers.

A real GRPOTrainer and a real RLOOTrainer, of the tiny model, that are given completions and rewards
instead of sampling and scoring them: all they do between that and the loss is theirs. A reward that
TRL's reward function does not give (None) is one that openrs could not verify.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from services.learner.algorithm.advantages import Baseline, Scale, advantages
from tests.tiny_model import write_tiny_model
from tests.trl_loss import load_trl

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(200)]

TOLERANCE = 1e-6
"""TRL computes in float32: advantages are below 3."""

NONE = float("nan")
GROUPS = {
    "verified": [[0.0, 1.0, 1.0, 0.25], [2.5, -1.0, 0.0, 0.0]],
    "some_not": [[0.0, NONE, 1.0, 0.25], [2.5, -1.0, NONE, NONE]],
    "one_alone": [[NONE, NONE, 1.0, NONE], [2.5, -1.0, 0.5, 0.0]],
}
LENGTHS, CUT = (3, 7, 5, 1, 6, 4, 8, 2), (1, 6)
"""Completion lengths, and which of them were cut off: they do not end with the end of sequence."""


class FakeCompletions:
    """Mixed into a trainer: completions and rewards are given."""

    rewards: torch.Tensor
    drawn: list[list[int]]

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        texts, ids = ["text"] * len(prompts), [[5, 6]] * len(prompts)
        if "RLOO" in type(self).__mro__[2].__name__:
            return ids, self.drawn, texts
        return ids, self.drawn, None, texts, None, {}, None, None

    def _calculate_rewards(self, *_given: Any) -> torch.Tensor:
        return self.rewards


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test before these may have trained in this process: TRL would look for other ranks."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def trl_batch(name: str, model: str, rewards: list[list[float]], **options: Any) -> dict[str, Any]:
    """What a trainer makes of these rewards."""
    trainer = load_trl(f"{name.lower()}_trainer", f"{name}Trainer")
    config = load_trl(f"{name.lower()}_config", f"{name}Config")
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    network = AutoModelForCausalLM.from_pretrained(
        model, use_safetensors=True, trust_remote_code=False
    )
    made = type("Given", (FakeCompletions, trainer), {})(
        model=network,
        processing_class=tokenizer,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
        args=config(
            output_dir=str(Path(model) / "trl"), per_device_train_batch_size=8, num_generations=4,
            beta=0.0, max_completion_length=16, bf16=False, use_cpu=True, report_to="none",
            **options,
        ),
    )  # fmt: skip
    made.current_gradient_accumulation_steps = 1
    made.rewards = torch.tensor([[reward] for group in rewards for reward in group])
    end = tokenizer.eos_token_id
    made.drawn = [[7] * (n - 1) + [8 if at in CUT else end] for at, n in enumerate(LENGTHS)]
    return made._generate_and_score_completions([{"prompt": "a"}] * 4 + [{"prompt": "b"}] * 4)


def ours(rewards: list[list[float]], baseline: Baseline, scale: Scale) -> list[float]:
    known = [[None if r != r else r for r in group] for group in rewards]
    return [gain for row in advantages(known, baseline, scale) for gain in row]


@pytest.mark.parametrize("rewards", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("scale", ["none", "group", "batch"])
def test_advantages_equal_those_of_trl_s_grpo(model, scale, rewards) -> None:
    found = trl_batch("GRPO", model, rewards, scale_rewards=scale)["advantages"].tolist()
    assert ours(rewards, "group", scale) == pytest.approx(found, abs=TOLERANCE)


@pytest.mark.parametrize("rewards", GROUPS.values(), ids=GROUPS)
def test_advantages_with_the_others_as_baseline_equal_those_of_trl_s_rloo(model, rewards) -> None:
    found = trl_batch("RLOO", model, rewards)["advantages"].tolist()
    assert ours(rewards, "others", "none") == pytest.approx(found, abs=TOLERANCE)


@pytest.mark.parametrize("masked", [True, False])
def test_masked_completions_are_out_of_n_and_in_the_baseline_as_in_trl(model, masked) -> None:
    rewards = GROUPS["verified"]
    batch = trl_batch("GRPO", model, rewards, mask_truncated_completions=masked)
    kept = [n for at, n in enumerate(LENGTHS) if not (masked and at in CUT)]
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum() == sum(kept)
    found = batch["advantages"].tolist()
    assert ours(rewards, "group", "group") == pytest.approx(found, abs=TOLERANCE)
