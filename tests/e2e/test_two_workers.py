"""Two of vLLM's workers together hold bit for bit what one holds, and sample what one samples.

An engine with one worker and an engine with two take the same policies, in every form that a policy
comes in. Each engine runs in a process of its own, as a sampler does; two workers have a process
each besides, and each has a part of the model.

`python tests/e2e/test_two_workers.py WORKERS OLD NEW DIRECTORY` is a sampler's process: OLD and NEW
are model directories; what it sampled and held goes to DIRECTORY.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from openrs_core.errors import RunError
from openrs_core.ledger import Policy
from openrs_core.ring.queue import Delivery
from openrs_core.weights import Change, Snapshot, Update
from openrs_core.wire.codec import decode, encode
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup, Sampling
from services.model.weights import base_policy
from services.sampler.engine import VllmEngine
from services.sampler.worker.places import Block, joined
from tests.tiny_model import tiny_recipe, write_tiny_model
from tests.weights import difference

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
WIDTH = 512
"""Makes a policy of 19 MB with tensors of 0.5, 1 and 2 MiB. What vLLM sends to its workers goes one
way if it is small, another from 1 MiB for an array on, and a third from 16 MiB for a call on."""

MAX_TOKENS = 32
BOUND = 1e-4
"""Of log-probabilities in float32. Measured: at most 4.1e-6."""


# --- the sampler's process ---------------------------------------------------------------------


def policies(old: Snapshot, new: Snapshot) -> Iterator[tuple[Change, Snapshot]]:
    """What leads to each policy, and the policy: the base, a sparse change, one with whole tensors,
    a snapshot, and a sparse change of that."""
    yield Change(()), old
    sparse = with_a_thirtieth(old, new)
    yield difference(old, sparse), sparse
    mixed = sparse.copy()
    for number in range(0, len(old.layout.tensors), 2):
        mixed.tensor(number)[:] = new.tensor(number)
    yield difference(sparse, mixed), mixed
    yield new.whole(), new
    last = with_a_thirtieth(new, old)
    yield difference(new, last), last


def with_a_thirtieth(policy: Snapshot, other: Snapshot) -> Snapshot:
    """The policy, but for every thirtieth value, which is the other's."""
    mixed = policy.copy()
    for number in range(len(policy.layout.tensors)):
        mixed.tensor(number)[::30] = other.tensor(number)[::30]
    return mixed


def sample(workers: int, old: str, new: str, directory: Path) -> None:
    sampler = {"max_tokens": MAX_TOKENS, "tensor_parallel": workers, "check_weights": True}
    engine = VllmEngine(tiny_recipe(old, sampler=sampler), old, "sampler")
    digests, base = [], engine.base()
    for version, (change, policy) in enumerate(policies(base, base_policy(new, "float32"))):
        engine.load(an_update(version, change, policy))
        digests.append(joined(base.layout, list(chain(*engine.read()))).digest())
        (directory / str(version)).write_bytes(encode(answer(engine, version)))
    held = [values_by_tensor(base, blocks) for blocks in engine.read()]
    found = {"digests": digests, "held": held, "refusal": refusal(engine, old)}
    (directory / "found.json").write_text(json.dumps(found))


def values_by_tensor(policy: Snapshot, blocks: list[Block]) -> dict[str, int]:
    """How many values a worker holds of each tensor."""
    count = Counter[str]()
    for block in blocks:
        count[policy.layout.tensors[block.number].name] += block.values.size
    return count


def refusal(engine: VllmEngine, model: str) -> str:
    """What it says of a policy whose type is not the model's."""
    other = base_policy(model, "bfloat16")
    try:
        engine.load(an_update(9, other.whole(), other))
    except RunError as error:
        return str(error)
    return ""


def an_update(version: int, change: Change, policy: Snapshot) -> Update:
    return Update(
        policy=Policy(1, version), digest=policy.digest(), layout=policy.layout, change=change,
        form="delta", size=0, published_at=0.0, fetch_seconds=0.0,
    )  # fmt: skip


def answer(engine: VllmEngine, version: int) -> RolloutGroup:
    """What it samples now, of one prompt."""
    assert engine.submit(a_prompt(version)) is None
    finished: list[tuple[Delivery[Prompt], RolloutGroup]] = []
    while engine.in_flight:
        finished += engine.step()
    [(_, group)] = finished
    return group


def a_prompt(version: int) -> Delivery[Prompt]:
    """Greedy: the tokens are decided by the weights alone."""
    prompt = Prompt(
        group_id=str(version), prompt_id="p", position=0, purpose="eval", incarnation=1,
        issued_version=version, issued_at=0.0, token_ids=tuple(range(10, 40)), thought_open=False,
        problem="",
        answer="",
        sampling=Sampling(temperature=0.0, max_tokens=MAX_TOKENS, group_size=1),
    )  # fmt: skip
    return Delivery(prompt.group_id.encode(), "prompts", prompt)


# --- what came of it ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampled:
    """What an engine left behind; lists are by policy, in order."""

    completions: list[Completion]
    digests: list[str]
    held: list[dict[str, int]]
    """Of each worker, how many values it holds of each tensor."""
    refusal: str


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    directory = tmp_path_factory.mktemp("models")
    old, new = (
        write_tiny_model(directory / name, seed=seed, width=WIDTH)
        for seed, name in enumerate(("old", "new"))
    )
    return old, new


def run(workers: int, models: tuple[str, str], directory: Path) -> Sampled:
    done = subprocess.run(
        [sys.executable, __file__, str(workers), *models, str(directory)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT, text=True, capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((directory / "found.json").read_text())
    files = [directory / str(version) for version in range(len(found["digests"]))]
    groups = [decode(path.read_bytes(), RolloutGroup) for path in files]
    return Sampled([group.completions[0] for group in groups], **found)


@pytest.fixture(scope="module")
def one(models: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Sampled:
    return run(1, models, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(models: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Sampled:
    return run(2, models, tmp_path_factory.mktemp("two"))


def test_two_workers_hold_every_policy_bit_for_bit(one: Sampled, two: Sampled, models) -> None:
    old, new = (base_policy(model, "float32") for model in models)
    expected = [policy.digest() for _, policy in policies(old, new)]
    assert len(set(expected)) == 5
    assert two.digests == expected
    assert one.digests == expected


def test_each_of_two_workers_holds_a_part_of_the_model(one: Sampled, two: Sampled) -> None:
    [whole], (first, second) = one.held, two.held
    for name, size in whole.items():
        if name.endswith("norm.weight"):
            assert first[name] == second[name] == size
        else:
            assert 0 < first[name] < size
            assert first[name] + second[name] == size


def test_two_workers_sample_what_one_samples(one: Sampled, two: Sampled) -> None:
    for ours, theirs in zip(one.completions, two.completions, strict=True):
        assert ours.token_ids == theirs.token_ids
        gap = np.subtract(ours.behaviour_logprobs, theirs.behaviour_logprobs)
        assert np.abs(gap).max() <= BOUND
    assert len({each.token_ids for each in one.completions}) == 5, "every policy has its own answer"


def test_a_policy_that_would_have_to_be_converted_is_refused_alike(
    one: Sampled, two: Sampled
) -> None:
    """By a worker in the sampler's process, and by workers that have processes of their own."""
    assert "in another form than it is published" in one.refusal
    assert two.refusal == one.refusal


if __name__ == "__main__":
    sample(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
