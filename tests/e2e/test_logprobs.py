"""Sampler and learner agree on the log-probability of every token, also after the weights moved.

vLLM runs in a process of its own, as in production; what it sends is decoded here and scored by
the learner's PolicyNetwork, which shares nothing with it but the model's directory.

`python tests/e2e/test_logprobs.py DTYPE OLD NEW DIRECTORY` is that process: OLD and NEW are
model directories, what it draws goes to DIRECTORY, one encoded RolloutGroup per file.
"""

import copy
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from openrs_core.ledger import Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.ring.queue import Delivery
from openrs_core.weights import Change, Snapshot, Update
from openrs_core.wire.codec import decode, encode
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup, Sampling
from services.learner.step import Sequence
from services.learner.trainer.batch import MicroBatch, assemble
from services.learner.trainer.policy_network import PolicyNetwork as Network
from services.learner.trainer.policy_network import load_policy_network
from services.model.weights import base_policy
from services.sampler.engine import VllmEngine
from tests.tiny_model import tiny_recipe, write_tiny_model
from tests.weights import difference

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
TEMPERATURE = 0.7
GROUP_SIZE, MAX_TOKENS = 8, 48
SWITCH = 15
"""Tokens drawn before the weights move."""

FLOAT32_BOUND = 1e-4
"""Measured: mean 6e-7, at most 2.4e-6."""
BFLOAT16_MEAN, BFLOAT16_MAX = 0.016, 0.07
"""Measured: mean 0.0061 to 0.0075, at most 0.033: the hidden states are rounded."""
FAR = 0.3
"""Mean distance that no rounding explains; between the two policies it is 1.3."""


def recipe(model: str, dtype: str) -> TrainingRecipe:
    sampler = {"temperature": TEMPERATURE, "max_tokens": MAX_TOKENS}
    return tiny_recipe(model, dtype, sampler=sampler, learner={"group_size": GROUP_SIZE})


def prompt(name: str, length: int) -> Prompt:
    return Prompt(
        group_id=name, prompt_id=name, position=0, purpose="train", incarnation=1, issued_version=0,
        issued_at=0.0, thought_open=False,
        token_ids=tuple((7 * at + length) % 250 + 5 for at in range(length)),
        problem="", answer="",
        sampling=Sampling(
            temperature=TEMPERATURE, max_tokens=MAX_TOKENS, group_size=GROUP_SIZE
        ),
    )  # fmt: skip


# --- the sampler's process ---------------------------------------------------------------------


def draw(dtype: str, old: str, new: str, directory: Path) -> None:
    """Groups under the old weights, one across the switch, and the first prompts again after it."""
    engine = VllmEngine(recipe(old, dtype), old, "sampler")
    base = engine.base()
    engine.load(an_update(base, Change(()), version=0))
    finish(engine, [prompt("old-short", 9), prompt("old-long", 200)], directory)
    engine.submit(delivery(prompt("across", 20)))
    for _ in range(SWITCH):
        write(engine.step(), directory)
    for change in two_changes(base, base_policy(new, dtype)):
        engine.load(an_update(base, change, version=1))
    finish(engine, [prompt("new-short", 9), prompt("new-long", 200)], directory)


def two_changes(old: Snapshot, new: Snapshot) -> Iterable[Change]:
    """To the new weights by a sparse change, then by one of whole tensors."""
    between = old.copy()
    for number in range(len(old.layout.tensors)):
        between.tensor(number)[::30] = new.tensor(number)[::30]
    for change, sparse in ((difference(old, between), True), (difference(between, new), False)):
        assert {part.positions is not None for part in change.parts} == {sparse}
        yield change


def an_update(base: Snapshot, change: Change, version: int) -> Update:
    return Update(
        policy=Policy(1, version), digest="", layout=base.layout, change=change, form="delta",
        size=0, published_at=0.0, fetch_seconds=0.0,
    )  # fmt: skip


def delivery(message: Prompt) -> Delivery[Prompt]:
    return Delivery(message.group_id.encode(), "prompts", message)


def finish(engine: VllmEngine, prompts: Iterable[Prompt], directory: Path) -> None:
    for each in prompts:
        assert engine.submit(delivery(each)) is None
    while engine.in_flight:
        write(engine.step(), directory)


def write(finished: Iterable[tuple[Delivery[Prompt], RolloutGroup]], directory: Path) -> None:
    for taken, group in finished:
        (directory / taken.message.group_id).write_bytes(encode(group))


# --- the learner's view ------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """What a sampler drew, and the two policies it had."""

    directory: Path
    old: Network
    new: Network

    def completions(self, name: str) -> tuple[Prompt, tuple[Completion, ...]]:
        group = decode((self.directory / name).read_bytes(), RolloutGroup)
        assert len(group.completions) == GROUP_SIZE
        return group.prompt, group.completions

    def gap(self, name: str, policy: Network) -> Tensor:
        """Of each token, the distance between the sampler's log-probability and the learner's."""
        asked, completions = self.completions(name)
        batch = [
            Sequence(asked.token_ids, c.token_ids, c.behaviour_logprobs, 0.0, 0.0)
            for c in completions
        ]
        tensors = assemble(batch, "padded", pad=0)
        with torch.no_grad():
            logprobs, _ = policy(tensors)
        return (logprobs - tensors.behaviour_logprobs).abs()


def drawn(dtype: str, directory: Path, *, idle: bool = False) -> Drawn:
    models = [
        write_tiny_model(directory / name, seed=seed, dtype=getattr(torch, dtype))
        for seed, name in enumerate(("old", "new"))
    ]
    if idle:
        for model in models:
            idle_layers(Path(model, "model.safetensors"))
    groups = directory / "groups"
    groups.mkdir()
    done = subprocess.run(
        [sys.executable, __file__, dtype, *models, str(groups)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT, text=True, capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Drawn(
        groups, *(load_policy_network(recipe(model, dtype), model).eval() for model in models)
    )


def idle_layers(path: Path) -> None:
    """Layers add nothing: a hidden state is a normalised embedding, the same to the last bit in
    every library."""
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            tensor.zero_()
        if name == "model.norm.weight":
            tensor.fill_(0.5)  # or each token would all but surely be the one before it
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def float32(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return drawn("float32", tmp_path_factory.mktemp("float32"))


@pytest.fixture(scope="module")
def bfloat16(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return drawn("bfloat16", tmp_path_factory.mktemp("bfloat16"))


@pytest.fixture(scope="module")
def bfloat16_head(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return drawn("bfloat16", tmp_path_factory.mktemp("head"), idle=True)


# --- one policy --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["old-short", "old-long"])
def test_sampler_and_learner_agree_in_float32(float32: Drawn, name: str) -> None:
    assert float32.gap(name, float32.old).max() <= FLOAT32_BOUND


@pytest.mark.parametrize("name", ["new-short", "new-long"])
def test_after_an_update_they_agree_on_the_new_weights(float32: Drawn, name: str) -> None:
    """Also of a prompt that was seen before: no key or value of the old weights is served."""
    assert float32.gap(name, float32.new).max() <= FLOAT32_BOUND
    assert float32.gap(name, float32.old).mean() > FAR


def test_a_tied_head_moves_with_the_embedding(float32: Drawn) -> None:
    """A copy of the head, packed when the model was loaded, would go on serving the old one."""
    stale = copy.deepcopy(float32.new)
    assert stale.model.config.tie_word_embeddings
    stale.model.lm_head.weight = float32.old.model.get_input_embeddings().weight
    assert float32.gap("new-short", stale).mean() > FAR
    assert float32.gap("new-short", float32.new).max() <= FLOAT32_BOUND


@pytest.mark.parametrize(
    ("name", "which"),
    [("old-short", "old"), ("old-long", "old"), ("new-short", "new"), ("new-long", "new")],
)
def test_in_bfloat16_they_differ_by_rounding(bfloat16: Drawn, name: str, which: str) -> None:
    gap = bfloat16.gap(name, getattr(bfloat16, which))
    assert gap.mean() <= BFLOAT16_MEAN
    assert gap.max() <= BFLOAT16_MAX


@pytest.mark.parametrize(("name", "which"), [("old-long", "old"), ("new-long", "new")])
def test_in_bfloat16_the_sampler_rounds_no_logits(
    bfloat16_head: Drawn, name: str, which: str
) -> None:
    """Neither does the learner. With hidden states alike nothing else is left to differ, before the
    weights of the head moved and after; logits in bfloat16 would be off by 2^-9 of each and more
    than ten times the bound."""
    policy = getattr(bfloat16_head, which)
    assert bfloat16_head.gap(name, policy).max() <= FLOAT32_BOUND
    rounded = copy.deepcopy(policy)
    rounded.forward = lambda batch: (own_logprobs(policy, batch), None)
    assert bfloat16_head.gap(name, rounded).mean() > 10 * FLOAT32_BOUND


@torch.no_grad()
def own_logprobs(policy: Network, batch: MicroBatch) -> Tensor:
    """By the model's own head, which is in bfloat16."""
    logits = policy.model(input_ids=batch.input_ids, position_ids=batch.position_ids).logits
    every = (logits.flatten(0, 1)[batch.index].float() / TEMPERATURE).log_softmax(-1)
    return every.gather(-1, batch.targets[:, None])[:, 0]


# --- across the switch -------------------------------------------------------------------------


def test_policies_say_where_the_weights_moved(float32: Drawn) -> None:
    _, completions = float32.completions("across")
    for completion in completions:
        runs = [(run.version, run.count) for run in completion.policies]
        late = len(completion.token_ids) - SWITCH
        assert runs == ([(0, SWITCH), (1, late)] if late > 0 else [(0, SWITCH + late)])
    assert any(len(completion.policies) == 2 for completion in completions)


def test_each_token_across_the_switch_is_drawn_from_the_policy_on_record(float32: Drawn) -> None:
    """The new weights go on from keys and values that the old ones left."""
    asked, completions = float32.completions("across")
    for completion in (c for c in completions if len(c.policies) == 2):
        first = completion.policies[0].count
        recorded = torch.tensor(completion.behaviour_logprobs)
        expected = continued(float32, asked.token_ids, completion.token_ids, first)
        stayed = continued(float32, asked.token_ids, completion.token_ids, len(recorded) - 1)
        assert (recorded - expected).abs().max() <= FLOAT32_BOUND
        assert (recorded - stayed)[first:-1].abs().mean() > FAR


@torch.no_grad()
def continued(
    drawn: Drawn, asked: tuple[int, ...], completion: tuple[int, ...], first: int
) -> Tensor:
    """Log-probabilities when the first tokens are the old policy's and the others the new one's."""
    ids, seen = torch.tensor([asked + completion]), len(asked) + first - 1
    before = drawn.old.model(input_ids=ids[:, :seen], use_cache=True)
    after = drawn.new.model(input_ids=ids[:, seen:-1], past_key_values=before.past_key_values)
    logits = torch.cat([before.logits[0, len(asked) - 1 :], after.logits[0]]) / TEMPERATURE
    return logits.log_softmax(-1).gather(-1, torch.tensor(completion)[:, None])[:, 0]


if __name__ == "__main__":
    draw(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
