"""The learning rate of a step."""

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

from openrs_core.recipe.learner import LearnerSection
from services.learner.algorithm.schedule import learning_rate


def rules(**changes) -> LearnerSection:
    return LearnerSection(steps=110, groups_per_step=1, group_size=2, lr=1e-6, **changes)


def test_the_learning_rate_warms_up_and_stays():
    rates = [learning_rate(step, rules(warmup_steps=10)) for step in range(12)]
    assert rates[:3] == pytest.approx([1e-7, 2e-7, 3e-7])
    assert rates[9:] == pytest.approx([1e-6] * 3)


def test_the_cosine_ends_at_its_share_of_the_peak():
    """Open-RS: 50 steps up, then a cosine to a tenth; at step 200 of 500 it gave 7.75e-7."""
    open_rs = LearnerSection(
        steps=500, groups_per_step=1, group_size=2, lr=1e-6, warmup_steps=50, schedule="cosine"
    )
    assert learning_rate(200, open_rs) == pytest.approx(7.75e-7, rel=1e-2)
    assert learning_rate(500, open_rs) == pytest.approx(1e-7)


def test_the_warm_up_is_one_step_ahead_of_hugging_faces_and_the_rest_is_the_same():
    """Theirs begins with a step whose rate is 0."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    [theirs] = get_cosine_schedule_with_warmup(optimizer, 10, 110).lr_lambdas
    ours = LearnerSection(
        steps=110, groups_per_step=1, group_size=2, lr=1.0, warmup_steps=10, schedule="cosine",
        min_lr_share=0.0,
    )  # fmt: skip
    rates = [learning_rate(step, ours) for step in range(110)]
    assert rates[:10] == pytest.approx([theirs(step + 1) for step in range(10)])
    assert rates[10:] == pytest.approx([theirs(step) for step in range(10, 110)])
