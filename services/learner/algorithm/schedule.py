"""The learning rate of a step."""

import math

from openrs_core.recipe.learner import LearnerSection


def learning_rate(step: int, rules: LearnerSection) -> float:
    """Of the step that starts from version `step`: linear warm-up, then constant or a cosine.

    The warm-up is one step ahead of Hugging Face's, whose first step has the rate 0: it would cost
    a batch and leave the weights as they were. From the peak on both are the same.
    """
    if step < rules.warmup_steps:
        return rules.lr * (step + 1) / rules.warmup_steps
    if rules.schedule == "constant":
        return rules.lr
    share = (step - rules.warmup_steps) / max(1, rules.steps - rules.warmup_steps)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return rules.lr * (rules.min_lr_share + (1 - rules.min_lr_share) * fall)
