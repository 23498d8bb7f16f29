"""A recipe: everything that decides what a run does, in one TOML file (see `recipe_file`).

Frozen, unknown keys refused, checked when it is made. What only says where a process runs (Redis
address, ports, directories) is no part of it: those are command-line options.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from openrs_core.fields import MAX_GROUP_SIZE, MAX_TOKENS

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Weight = Annotated[float, Field(ge=-1000, le=1000)]
CosineReward = Annotated[float, Field(ge=-100, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of the recipe: frozen, closed, documented under each field."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Model(Section):
    """The model that is trained."""

    path: str
    """Directory or Hugging Face hub id of a causal language model; `toy` is the embedded one."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the weights that sampler and learner compute with (masters are always float32)."""


class Data(Section):
    """The problems, and how a prompt is made of one."""

    train: str
    """JSON-lines file, or Hugging Face hub id of a data set; `toy` is the embedded task."""
    held_out: str = ""
    """The problems of the evaluation, never trained on; the same forms. Empty: no evaluation."""
    problem_field: str = "problem"
    """Column with the problem's text."""
    answer_field: str = "answer"
    """Column with the reference answer."""
    system_prompt: str = ""
    """System message put before each problem; empty: none."""
    max_prompt_tokens: Tokens = 512
    """Problems whose rendered prompt is longer are left out, and counted."""


class Sampler(Section):
    """vLLM."""

    temperature: Positive = 1.0
    """Of the training completions; the learner divides its logits by the same."""
    max_tokens: Tokens = 4096
    """Longest completion, in tokens."""
    max_sequences: PositiveInt = 256
    """Completions sampled at once by one sampler."""
    kv_cache_mib: Count = 0
    """Key-value cache in MiB; 0: what vLLM finds free (`gpu_memory_share`)."""
    gpu_memory_share: Share = 0.9
    """Share of a GPU's memory vLLM may take."""
    eager: bool = False
    """Skip CUDA graphs and compilation: starts faster, samples slower."""
    tensor_parallel: PositiveInt = 1
    """GPUs that share one copy of the model."""
    check_weights: bool = False
    """Read the weights back out of vLLM after every update and compare them with what was
    published; a difference ends the sampler. Costs a pass over the model each time."""


class Cosine(Section):
    """The cosine length reward: r = lo + (hi - lo) (1 + cos(pi L / max_length)) / 2."""

    max_length: PositiveInt = 3584
    """L at which the cosine has gone half round."""
    unit: Literal["tokens", "characters"] = "tokens"
    """What L counts. The Open-RS code counted characters against a limit of tokens."""
    clamp: bool = True
    """Stop at max_length; without, the reward is periodic in L, as in the Open-RS code."""
    correct: tuple[CosineReward, CosineReward] = (1.0, 0.5)
    """Reward of a correct answer at length 0 and at max_length; each within 100 either way."""
    incorrect: tuple[CosineReward, CosineReward] = (-1.0, -0.5)
    """Reward of a wrong answer at length 0 and at max_length; each within 100 either way."""


class Scorer(Section):
    """math-verify and the rewards made of its verdict."""

    weights: dict[Literal["accuracy", "format", "cosine"], Weight] = {"accuracy": 1.0}
    """The reward is the sum of these components times their weights, each within 1000 either way:
    so no reward leaves what a message may hold (`fields.MAX_REWARD`)."""
    format: Literal["think_then_box", "one_think_end"] = "think_then_box"
    """`think_then_box`: <think>, </think>, then \\boxed{}. `one_think_end`: exactly one
    newline-</think>-newline, the format reward of Open-RS."""
    cosine: Cosine = Cosine()
    workers: PositiveInt = 1
    """Verifier processes."""
    deadline_seconds: Positive = 10.0
    """A verifier that has not answered by then is killed; the verdict is `timeout`."""
    memory_mib: Annotated[int, Field(ge=256)] = 2048
    """Address space of one verifier."""


class Learner(Section):
    """DeepSpeed and GRPO's family."""

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
    lr: Positive = 1e-6
    """Peak learning rate."""
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
    loss: Literal["cispo", "clip"] = "cispo"
    """`cispo`: policy gradient with the detached, capped ratio; `clip`: PPO's, asymmetric."""
    ratio_cap: Positive = 5.0
    """Highest importance ratio of `cispo`."""
    clip_low: Share = 0.2
    """`clip` keeps the ratio above 1 - clip_low."""
    clip_high: NotNegative = 0.28
    """`clip` keeps the ratio below 1 + clip_high."""
    dual_clip: NotNegative = 4.0
    """`clip` bounds the ratio of tokens with negative advantage by this; 0: unbounded."""
    kl_weight: NotNegative = 0.0
    """Weight of the k3 divergence from the base model; needs a second copy of it."""
    aggregation: Literal["token", "sequence", "group", "constant"] = "token"
    """Mean over all tokens, of sequence means, of group means, or over a constant length."""
    advantage_scale: Literal["none", "group", "batch"] = "group"
    """What divides reward - group mean: nothing, the group's or the batch's deviation."""
    tokens_per_micro_batch: PositiveInt = 16384
    """Prompt and completion tokens computed at once by one rank."""
    layout: Literal["padded", "packed"] = "padded"
    """Sequences in rows, or one behind another (for long ones of mixed length, on GPUs)."""
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


class Evaluation(Section):
    """Held-out accuracy, through the same ring, while training goes on."""

    every: PositiveInt = 50
    """Steps between evaluations; one is also made before the first and after the last step."""
    problems: PositiveInt = 256
    """How many held-out problems, the first of the file."""
    samples: Annotated[int, Field(ge=1, le=MAX_GROUP_SIZE)] = 1
    """Completions per problem of the sampled evaluation."""
    temperature: Positive = 1.0
    """Of the sampled evaluation."""
    greedy: bool = True
    """Also evaluate with temperature 0, one completion per problem."""
    max_tokens: Count = 0
    """Longest completion, not longer than in training; 0: as long."""


class Toy(Section):
    """The embedded task and model (`toy`); see services/toy."""

    terms: Annotated[int, Field(ge=4, le=8)] = 4
    """Numbers in one chain sum; fewer would not make enough different problems."""
    hidden_size: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    """Width of the model."""
    layers: PositiveInt = 2
    """Depth of the model."""
    careful_share: Share = 0.25
    """Share of the second warm-up's demonstrations that show their work."""


class Recipe(Section):
    """One run."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]
    """Lower-case letters, digits, `-`, `_` and `.`; run ids begin with it."""
    seed: Count = 0
    """Of the data order, the sampler and the toy model."""
    redelivery_seconds: Annotated[float, Field(ge=1)] = 120.0
    """Work whose owner fell silent this long is given to another; longer than a weight load."""
    model: Model
    data: Data
    sampler: Sampler = Sampler()
    scorer: Scorer = Scorer()
    learner: Learner
    evaluation: Evaluation = Evaluation()
    toy: Toy = Toy()

    @model_validator(mode="after")
    def _possible(self) -> "Recipe":
        """Refuse combinations that cannot work."""
        if self.sampler.max_sequences < self.learner.group_size:
            raise ValueError(
                f"sampler.max_sequences is {self.sampler.max_sequences}, less than one group "
                f"(learner.group_size = {self.learner.group_size}); raise it"
            )
        longest = self.data.max_prompt_tokens + self.sampler.max_tokens
        if self.learner.tokens_per_micro_batch < longest:
            raise ValueError(
                f"learner.tokens_per_micro_batch is {self.learner.tokens_per_micro_batch}, but one "
                f"sequence may have {longest} tokens (data.max_prompt_tokens + "
                "sampler.max_tokens); raise it or lower those"
            )
        if (self.data.train == "toy") != (self.model.path == "toy"):
            raise ValueError(
                f"model.path is {self.model.path!r} and data.train is {self.data.train!r}: the toy "
                "model knows only the toy task; set both to 'toy' or neither"
            )
        if self.sampler.check_weights and self.sampler.tensor_parallel > 1:
            raise ValueError(
                "sampler.check_weights is true and sampler.tensor_parallel is "
                f"{self.sampler.tensor_parallel}: no worker has the whole model; set it to false"
            )
        return self

    @model_validator(mode="after")
    def _evaluation_possible(self) -> "Recipe":
        """Refuse an evaluation that no sampler could take."""
        if self.evaluation.samples > self.sampler.max_sequences:
            raise ValueError(
                f"evaluation.samples is {self.evaluation.samples}, more than a sampler takes "
                f"(sampler.max_sequences = {self.sampler.max_sequences}); lower it or raise that"
            )
        if self.evaluation.max_tokens > self.sampler.max_tokens:
            raise ValueError(
                f"evaluation.max_tokens is {self.evaluation.max_tokens}, longer than the model is "
                f"run with (sampler.max_tokens = {self.sampler.max_tokens}); lower it or raise that"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """Every value in force, defaults included, as JSON-able values."""
        return self.model_dump(mode="json")

    @property
    def fingerprint(self) -> str:
        """Equal for equal recipes."""
        text = json.dumps(self.resolved(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
