"""DeepSpeed's engine for a policy: what it is told, and how it is made."""

import os
from typing import Any

import torch

from openrs_core.recipe.training import TrainingRecipe
from services.learner.trainer.policy_network import PolicyNetwork

LARGEST_BUCKET = 500_000_000
"""Values of the gradient that are reduced at once; DeepSpeed's own default."""


def initialize(policy: PolicyNetwork, recipe: TrainingRecipe) -> Any:
    """The engine that trains a policy as the recipe says.

    The policy is in training mode from here on. transformers loads models in evaluation mode, in
    which no layer is recomputed in the backward pass, whatever `gradient_checkpointing` says.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed
    import deepspeed.ops

    # A C++ extension that takes minutes to compile, and that gloo does without
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    engine, *_ = deepspeed.initialize(
        model=policy,
        model_parameters=list(policy.parameters()),
        config=configuration(recipe, sum(p.numel() for p in policy.parameters())),
        dist_init_required=False,
    )
    engine.train()
    return engine


def configuration(recipe: TrainingRecipe, values: int) -> dict[str, Any]:
    """What DeepSpeed would read from its own file, for a model of so many values."""
    rules, bfloat16 = recipe.learner, recipe.model.dtype == "bfloat16"
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,  # the boundary is set by hand
        "gradient_clipping": rules.max_grad_norm,
        "zero_optimization": {
            "stage": rules.zero_stage,
            # The bucket is allocated at its full size, 2 GB by default
            "reduce_bucket_size": min(values, LARGEST_BUCKET),
        },
        # Gradients are kept, and added up over micro-batches and ranks, in float32 (decision 0021)
        "bf16": {"enabled": bfloat16, "immediate_grad_update": True},
        "data_types": {"grad_accum_dtype": "fp32"},
        "communication_data_type": "fp32",
        "gradient_allreduce_op": "sum" if bfloat16 and rules.zero_stage < 3 else "mean",
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": rules.lr,
                "betas": list(rules.betas),
                "weight_decay": rules.weight_decay,
                "torch_adam": True,  # DeepSpeed's own would be compiled at start
            },
        },
        "steps_per_print": 10**9,
        "zero_allow_untested_optimizer": True,
    }
