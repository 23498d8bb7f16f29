"""The section `learner`: how a run of steps is made; what a step computes is in `algorithm`."""

from typing import Annotated, Literal

from pydantic import Field

from openrs_core.recipe.section import (
    Count,
    NotNegative,
    Positive,
    PositiveInt,
    Section,
    Share,
)
from openrs_core.wire.fields import MAX_GROUP_SIZE


class LearnerSection(Section):
    """Steps, batches, the optimizer, DeepSpeed, checkpoints."""

    steps: PositiveInt
    """Optimizer steps of the run."""
    groups_per_step: PositiveInt
    """Groups trained in one step."""
    group_size: Annotated[int, Field(ge=2, le=MAX_GROUP_SIZE)]
    """Completions per prompt."""
    max_staleness: Count = 4
    """No token is trained on whose policy is more optimizer steps behind; 0 is on-policy."""
    on_straggler: Literal["wait", "drop"] = "wait"
    """Wait for a group before it would pass the bound, or drop and issue it again."""
    lr: NotNegative = 1e-6
    """Peak learning rate. With 0 the policy stays as it is (see `openrs drift`)."""
    warmup_steps: Count = 10
    """Steps of linear warm-up."""
    schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up: stay, or fall along a cosine to `min_lr_share` of the peak."""
    min_lr_share: Share = 0.1
    """Where the cosine ends, as a share of the peak."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Of AdamW."""
    weight_decay: NotNegative = 0.0
    """Of AdamW."""
    max_grad_norm: Positive = 1.0
    """Gradients are scaled down to this norm."""
    spike_factor: NotNegative = 10.0
    """A step whose gradient norm is above this many times its moving average is skipped; 0: none
    is. A loss or gradient that is not finite always is."""
    most_skipped: PositiveInt = 3
    """So many skipped steps in a row end the run."""
    tokens_per_micro_batch: PositiveInt = 16384
    """Prompt and completion tokens computed at once by one rank."""
    packing: Literal["padded", "packed", "shared"] = "padded"
    """Sequences in rows, or one behind another (for long ones of mixed length; on GPUs this needs
    flash-attn), or the completions of a group behind their prompt, which is computed once (for long
    prompts and short completions: attention computes all pairs of a row's tokens)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: slower, smaller."""
    zero_stage: Literal[1, 2, 3] = 1
    """DeepSpeed ZeRO stage; 1 reduces once per step, which suits PCIe; 3 also shares out the
    weights, for models that do not fit one GPU with their gradients."""
    snapshot_every: Annotated[int, Field(ge=1, le=100)] = 16
    """Versions between whole copies of the weights in Redis; those between are sent as deltas. A
    sampler that joins takes the newest copy and the deltas after it."""
    checkpoint_every: PositiveInt = 50
    """Steps between checkpoints; one is also written at the end and at a clean stop."""
    keep_checkpoints: PositiveInt = 2
    """Older ones are removed."""
