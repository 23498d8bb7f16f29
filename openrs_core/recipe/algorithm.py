"""The section `algorithm`: the choices of learning, and where each was published.

What computes them (steps, batches, learning rate, DeepSpeed, checkpoints) is the section `learner`.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from openrs_core.recipe.section import Count, NotNegative, Positive, Section, Share


class AlgorithmSection(Section):
    """Which policy gradient; GRPO's family."""

    loss: Literal["cispo", "clip", "reinforce"] = "cispo"
    """`cispo`: policy gradient with the detached, capped ratio (MiniMax-M1, arXiv 2506.13585);
    `clip`: PPO's (arXiv 1707.06347), asymmetric as in DAPO (arXiv 2503.14476); `reinforce`: the
    ratio is not corrected for at all, for studies of what staleness does."""
    ratio_cap: Positive = 5.0
    """Highest importance ratio of `cispo` (5: ScaleRL, arXiv 2510.13786)."""
    clip_low: Share = 0.2
    """`clip` keeps the ratio above 1 - clip_low."""
    clip_high: NotNegative = 0.28
    """`clip` keeps the ratio below 1 + clip_high."""
    dual_clip: NotNegative = 4.0
    """`clip` bounds the ratio of tokens with negative advantage by this (arXiv 1912.09729); 0:
    unbounded."""
    ratio_level: Literal["token", "sequence"] = "token"
    """Each token has a ratio of its own, or all of a sequence have the geometric mean of theirs
    (GSPO, arXiv 2507.18071, which clips within 3e-4 and 4e-4)."""
    opsm_delta: NotNegative = 0.0
    """Off-policy sequence masking (DeepSeek-V3.2, arXiv 2512.02556): a sequence with negative
    advantage carries no gradient when its mean log(behaviour / policy) is above this; its tokens
    still count in every mean. 0: none is masked. TRL suggests 0.5, slime 1e-4."""
    top_entropy_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the batch's tokens, those of highest entropy, that carry the policy gradient (0.2:
    the 80/20 rule, arXiv 2506.01939); all count in every mean. Below 1 it costs a forward pass
    more: which they are is known only when the whole batch was seen."""
    entropy_weight: NotNegative = 0.0
    """Weight of a bonus for the mean entropy per token; with `entropy_target` where it begins."""
    entropy_target: NotNegative = 0.0
    """Nats per token: below it `entropy_weight` grows by 0.005 a step, above it shrinks and the
    bonus rests, within 0 and 1 (Skywork-OR1, arXiv 2505.22312). 0: the weight stays."""
    kl_weight: NotNegative = 0.0
    """Weight of the k3 divergence from the reference, a frozen copy of the base model."""
    kl_with_ratio: bool = False
    """Multiply k3 by the importance ratio, so that its gradient is that of the KL also where tokens
    are off-policy (DeepSeek-V3.2; TRL 1.16 does)."""
    reference_reset_every: Count = 0
    """So many steps after the last time the policy becomes the reference (ProRL, arXiv 2505.24864,
    which also clears the optimizer's moments; here they stay); 0: never."""
    aggregation: Literal["token", "sequence", "group", "constant"] = "token"
    """Mean over all tokens, of sequence means, of group means, or over a constant length."""
    baseline: Literal["group", "others", "batch"] = "group"
    """What is subtracted from a reward: the group's mean (GRPO, arXiv 2402.03300), the mean of the
    others of the group (RLOO, arXiv 2402.14740), or the batch's mean (REINFORCE++, arXiv
    2501.03262; groups without signal are left out all the same)."""
    advantage_scale: Literal["none", "group", "batch"] = "group"
    """What divides reward - baseline: nothing (Dr. GRPO, arXiv 2503.20783), the deviation of the
    group's rewards (GRPO) or of the batch's (ScaleRL, arXiv 2510.13786)."""
    truncated: Literal["kept", "masked"] = "kept"
    """Completions that `max_tokens` cut off: trained on like others, or `masked`, as in DAPO's
    overlong filtering: their tokens carry no loss and are in no mean, their reward still counts in
    the baseline. With R1-Distill models, Skywork-OR1 (arXiv 2505.22312) advises against it."""

    @model_validator(mode="after")
    def _acts(self) -> "AlgorithmSection":
        """Refuse options that would do nothing."""
        if not self.kl_weight and (self.kl_with_ratio or self.reference_reset_every):
            which = "kl_with_ratio" if self.kl_with_ratio else "reference_reset_every"
            raise ValueError(f"{which} is set, but kl_weight is 0: there is no KL; set both")
        if self.ratio_level == "sequence" and self.loss == "reinforce":
            raise ValueError(
                "ratio_level is 'sequence', but loss is 'reinforce', which has no ratio; "
                "set loss to 'cispo' or 'clip'"
            )
        return self
