"""Weights that arrive while an answer is being sampled: a real sampler, the real channel.

The test plays the learner. Its model is made so that the next token depends on the last one alone:
nothing is added to the embedding on its way up. So each version's log-probability of a token can be
computed apart from all that came before it, and a token with a wrong label would show.
"""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from openrs_core.ledger import Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.ring.keys import Keys
from openrs_core.ring.queue import Queue
from openrs_core.weights import Publisher, Snapshot
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup, Sampling, WeightsTaken
from services.model.weights import base_policy
from tests.conftest import wait_until
from tests.e2e.ring import start
from tests.tiny_model import tiny_recipe, write_tiny_model
from tests.weights import difference

pytestmark = [pytest.mark.e2e, pytest.mark.redis, pytest.mark.arithmetic, pytest.mark.timeout(200)]

CERTAIN = 70
"""The token that the last version makes certain."""

GROUP_SIZE, MAX_TOKENS = 4, 440
VERSIONS = 6


def pull(version: int) -> float:
    """How much of the common direction token CERTAIN has: a little more with each version."""
    return 0.9 + 0.06 * version if version < VERSIONS else 10.0


@pytest.fixture
def model(tmp_path: Path) -> str:
    directory = write_tiny_model(tmp_path / "model")
    network = AutoModelForCausalLM.from_pretrained(directory)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "o_proj" in name or "down_proj" in name:
                parameter.zero_()
        embedding = network.get_input_embeddings().weight
        embedding[:, 0] = 1.0  # the common direction: it decides which token is likely
        embedding[network.config.eos_token_id, 0] = -9.0
        embedding[CERTAIN, 0] = pull(0)
    network.save_pretrained(directory)
    return directory


class TheLearner:
    """Publishes versions that differ in one value of the embedding."""

    def __init__(self, client: Any, run: str, model: str) -> None:
        self.weights = base_policy(model, "float32")
        self.publisher = Publisher(client, run, snapshot_every=100)
        self.publisher.begin(Policy(1, 0), self.weights.copy())
        self._embedding = self.weights.layout.number["model.embed_tokens.weight"]

    def at(self, version: int) -> Snapshot:
        """The weights of a version."""
        weights = self.weights.copy()
        _, width = weights.layout.tensors[self._embedding].shape
        weights.tensor(self._embedding).view("<f4")[CERTAIN * width] = pull(version)
        return weights

    def publish(self, version: int) -> None:
        change = difference(self.at(version - 1), self.at(version))
        assert change.values == 1
        self.publisher.publish(Policy(1, version), change)

    def logprobs(self, version: int, tokens: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Of each token but the first, given the one before it, in float64; and how far float32
        may be off.

        A product of n values is off by some sqrt(n) u sum |x w|, and not by four times that but
        with a probability of 1e-3 (Higham and Mary, A New Approach to Probabilistic Rounding Error
        Analysis, 2019; u the unit roundoff). The n squares of the norm are summed so, which moves
        each x by half of that, and some operations on x follow. A log-probability is a
        logit less the logsumexp of all, which moves by the mean of what they move, weighed by their
        probabilities, and is a sum of as many terms as there are tokens.
        """
        words = self.at(version).tensor(self._embedding).view("<f4")
        embedding = torch.from_numpy(words.reshape(-1, 128).copy()).double()
        last = embedding[list(tokens[:-1])]
        hidden = last / (last.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        logprobs, sizes = (hidden @ embedding.T).log_softmax(-1), hidden.abs() @ embedding.abs().T
        chosen = range(len(last)), list(tokens[1:])
        moved = sizes[chosen] + (logprobs.exp() * sizes).sum(-1)
        unit = torch.finfo(torch.float32).eps / 2
        bound = unit * ((1.5 * 4 * 128**0.5 + 8) * moved + len(embedding))
        return logprobs[chosen].numpy(), bound.numpy()


def test_an_answer_goes_on_under_the_new_weights_and_says_exactly_where(
    tmp_path, redis_url, client, model
):
    recipe = tiny_recipe(
        model, "float32",
        data={"max_prompt_tokens": 60},
        sampler={"max_tokens": MAX_TOKENS, "check_weights": True},
        learner={"group_size": GROUP_SIZE},
    )  # fmt: skip
    learner, queue = TheLearner(client, "flight", model), Queue(client, "flight", "learner")
    queue.publish("prompts", [a_long_prompt(recipe)])
    sampler = start_sampler(tmp_path, recipe, redis_url)
    for version in range(1, VERSIONS + 1):
        wait_until(lambda v=version: taken(client)[-1:] == [v - 1], f"version {version - 1}")
        learner.publish(version)
    found: list[Any] = []
    wait_until(lambda: found.extend(queue.read("rollouts", RolloutGroup, 1)) or found, "the group")
    sampler.send_signal(signal.SIGTERM)
    assert sampler.wait(20) == 0, (tmp_path / "sampler.log").read_text()
    learner.publisher.close()

    group = found[0].message
    assert taken(client) == list(range(VERSIONS + 1))
    assert len(group.completions) == GROUP_SIZE
    for completion in group.completions:
        assert (completion.finish_reason, len(completion.token_ids)) == ("length", MAX_TOKENS)
        runs = [run.version for run in completion.policies]
        assert runs == sorted(runs)
        assert runs[-1] == VERSIONS
        assert len(runs) > 2
        assert_each_token_is_of_its_policy(learner, completion)
        assert_the_last_version_is_certain(completion)


def assert_each_token_is_of_its_policy(learner: TheLearner, completion: Completion) -> None:
    made_by = np.repeat(
        [run.version for run in completion.policies], [run.count for run in completion.policies]
    )[1:]
    recorded = np.array(completion.behaviour_logprobs)[1:]
    computed = [learner.logprobs(version, completion.token_ids) for version in range(VERSIONS + 1)]
    gap = np.abs(np.array([logprobs for logprobs, _ in computed]) - recorded)
    bound = np.array([bound for _, bound in computed])
    is_own = np.arange(VERSIONS + 1)[:, None] == made_by
    assert (gap <= bound)[is_own].all()
    assert (gap > bound)[~is_own].all(), "every other version would be told apart"


def assert_the_last_version_is_certain(completion: Completion) -> None:
    last = completion.policies[-1].count
    assert set(completion.token_ids[-last:]) == {CERTAIN}
    assert min(completion.behaviour_logprobs[-last:]) > -1e-6
    before = completion.token_ids[:-last]
    assert sum(token == CERTAIN for token in before) < len(before) / 2


def a_long_prompt(recipe: TrainingRecipe) -> Prompt:
    return Prompt(
        group_id="1.1", prompt_id="p", position=0, purpose="train", incarnation=1, issued_version=0,
        issued_at=0.0, token_ids=(10, 11, 12), thought_open=False, problem="", answer="",
        sampling=Sampling(
            temperature=recipe.sampler.temperature, max_tokens=MAX_TOKENS, group_size=GROUP_SIZE
        ),
    )  # fmt: skip


def start_sampler(directory: Path, recipe: TrainingRecipe, redis_url: str) -> Any:
    path = directory / "recipe.json"
    path.write_text(recipe.model_dump_json())
    return start(
        directory / "sampler.log", "sampler", "--recipe", str(path), "--run", "flight",
        "--redis", redis_url,
    )  # fmt: skip


def taken(client: Any) -> list[int]:
    """Versions the sampler has noted as in force."""
    entries = client.xrange(Keys("flight").taken)
    return [decode(fields[b"body"], WeightsTaken).version for _, fields in entries]
