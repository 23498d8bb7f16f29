"""The model as the loss needs it: log-probabilities of given tokens.

Its lm_head runs on the scored tokens only (see `head`); logits are divided by the sampling
temperature, as the sampler's were. What else a model does to its logits is left out: `own_forward`
refuses models that do more.
"""

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import is_flash_attn_2_available

from openrs_core.errors import RecipeError
from openrs_core.recipe.training import TrainingRecipe
from services.learner.trainer.batch import MicroBatch, Packing
from services.learner.trainer.head import Entropy, scored


class PolicyNetwork(nn.Module):
    """A causal language model and its temperature."""

    def __init__(self, model: PreTrainedModel, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(
        self, batch: MicroBatch, entropy: Entropy = "value"
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probability and entropy (nats) of each scored token: [N], [N], float32.

        The entropy has a gradient only where one is asked for, and may be None (see `head`).
        """
        rows = self.rows(batch)
        # Converted once, so that its gradient is summed over the chunks in float32
        head = self.model.get_output_embeddings().weight.float()
        return scored(rows, head, batch.targets, self.temperature, entropy)

    def rows(self, batch: MicroBatch) -> Tensor:
        """The hidden state that predicts each scored token, [N, H], in the model's type."""
        hidden: Tensor = self.model.base_model(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            attention_mask=batch.mask,
            use_cache=False,
        ).last_hidden_state
        return hidden.flatten(0, 1)[batch.index]


def load_policy_network(recipe: TrainingRecipe, directory: str) -> PolicyNetwork:
    """The recipe's model as a policy, in the recipe's type; nothing in it is dropped at random.

    Raises:
        RecipeError: see `attention`; or a shared prompt would be seen otherwise by this model.
    """
    config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    _drop_nothing(config)
    _refuse_windows(config, recipe.learner.packing)
    model = AutoModelForCausalLM.from_pretrained(
        directory,
        config=config,
        dtype=getattr(torch, recipe.model.dtype),
        attn_implementation=_attention(recipe),
        use_safetensors=True,  # no other form: they can hold code
        trust_remote_code=False,
    )
    if recipe.learner.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return PolicyNetwork(model, recipe.sampler.temperature)


def _drop_nothing(config: PretrainedConfig) -> None:
    """Set every probability of dropout to 0.

    A policy that is trained drops nothing: its log-probabilities are to be those of the policy that
    was sampled, and layers recomputed in the backward pass those of the forward pass. The names
    that transformers has for them (`attention_dropout`, `resid_pdrop`, `layerdrop`) share a part.
    """
    for name, value in list(vars(config).items()):
        if isinstance(value, PretrainedConfig):
            _drop_nothing(value)
        elif "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)


def _refuse_windows(config: PretrainedConfig, packing: Packing) -> None:
    """Shared rows come with a mask of their own, which layers with a window would not add to."""
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if packing == "shared" and kinds:
        raise RecipeError(
            f'learner.packing is "shared", but the model has layers of {", ".join(sorted(kinds))}, '
            'where a token does not see all before it; set learner.packing = "padded"'
        )


def _attention(recipe: TrainingRecipe) -> str:
    flash = recipe.model.dtype == "bfloat16" and is_flash_attn_2_available()
    return attention(recipe.learner.packing, torch.cuda.is_available(), flash)


def attention(packing: Packing, cuda: bool, flash: bool) -> str:
    """Which attention of transformers goes with a packing; `flash`: flash-attn can be used.

    Packed sequences want a kernel that skips what they do not attend to. torch's own attention
    knows none: there they are a mask of [tokens x tokens], and every product is computed. On a CPU
    it is used all the same, for tests and trials.

    Raises:
        RecipeError: on a GPU, packed sequences without flash-attn.
    """
    if packing != "packed" or not cuda:
        return "sdpa"
    if not flash:
        raise RecipeError(
            'learner.packing is "packed", which needs flash-attn on a GPU, and model.dtype = '
            '"bfloat16" for it; install flash-attn, or set learner.packing = "padded"'
        )
    return "flash_attention_2"
