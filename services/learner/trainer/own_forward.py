"""Whether a model's own forward pass gives what the policy computes.

`PolicyNetwork` takes the hidden states and applies the head itself. A model that does more to its
logits (a cap, a scale, a bias of the head) would be trained as another model than the sampler runs.
So the two are compared once, on a short sequence, before anything is trained.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from openrs_core.errors import RunError
from services.learner.step import Sequence
from services.learner.trainer.batch import MicroBatch, assemble
from services.learner.trainer.policy_network import PolicyNetwork

TOKENS = 16
"""In the sequence: one forward pass of them takes seconds on a CPU, also of a large model."""


def refuse_other_forward(network: PolicyNetwork, path: str) -> None:
    """Compare the log-probabilities of the network, in training mode, with the model's own.

    On the device the network is on, whole: before ZeRO shares it out. It is left in training mode.

    Raises:
        RunError: they differ by more than rounding explains; or one is not a number.
    """
    batch = _batch(network)
    with torch.no_grad(), _attention_by_torch(network.model):
        own = _own_logits(network.eval(), batch)
        logprobs = own.log_softmax(-1).gather(-1, batch.targets[:, None])[:, 0]
        bound = _rounding(network, network.rows(batch), own)
        far = (network.train()(batch, entropy="none")[0] - logprobs).abs()
    if not bool((far <= bound).all()):
        raise RunError(
            f"model.path is {path!r}, a {type(network.model).__name__}: its own forward differs by "
            f"{far.max().item():.2g} nats a token from what would be trained (rounding: at most "
            f"{bound.max().item():.2g}), as the learner applies the lm_head alone, without a cap, "
            "scale or bias of the logits; use a model without them"
        )


def _batch(network: PolicyNetwork) -> MicroBatch:
    """One sequence of tokens from all over the vocabulary."""
    head = network.model.get_output_embeddings().weight
    ids = torch.linspace(0, len(head) - 1, TOKENS).long().tolist()
    drawn = (0.0,) * (TOKENS - 1)
    sequence = Sequence((ids[0],), tuple(ids[1:]), drawn, advantage=0.0, weight=0.0)
    return assemble([sequence], "padded", pad=0).to(head.device)


@contextmanager
def _attention_by_torch(model: PreTrainedModel) -> Iterator[None]:
    """The network is on a CPU still, where flash-attn does not run."""
    chosen = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(chosen)


def _own_logits(network: PolicyNetwork, batch: MicroBatch) -> Tensor:
    """Of the model's own forward pass, at the temperature: [N, V] float32."""
    found = network.model(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
    )
    logits: Tensor = found.logits.flatten(0, 1)[batch.index]
    return logits.float() / network.temperature


def _rounding(network: PolicyNetwork, rows: Tensor, logits: Tensor) -> Tensor:
    """How far the log-probability of each token can be off by rounding alone, [N].

    A sum of n products in float32 is off by at most n u sum |x_i y_i|, in any order (Higham,
    Accuracy and Stability of Numerical Algorithms, 3.1; u the unit roundoff): so is each logit, the
    model's own and ours, over a row of the head. The model's own is then rounded to the model's
    type. A log-probability is a logit less the logsumexp of all, and each of them moves by no more
    than the logit that moves most. The sum inside the logsumexp has as many terms as there are
    tokens; its relative error is the absolute one of its logarithm.
    """
    head = network.model.get_output_embeddings().weight.float()
    unit, narrow = (torch.finfo(kind).eps / 2 for kind in (torch.float32, rows.dtype))
    sizes: Tensor = (rows.float().abs() @ head.abs().T).amax(-1) / network.temperature
    summed = 2 * rows.shape[-1] * unit * sizes
    rounded = narrow * logits.abs().amax(-1)
    return 2 * (summed + rounded) + 2 * len(head) * unit
