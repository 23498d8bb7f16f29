"""Scored groups -> what the loss takes: completions with an advantage and a weight per token."""

from collections.abc import Sequence as Many

from openrs_core.recipe.training import TrainingRecipe
from openrs_core.wire.messages import ScoredGroup
from services.learner.algorithm.advantages import advantages
from services.learner.algorithm.aggregation import token_weights
from services.learner.algorithm.filters import is_trained
from services.learner.step import Sequence


def sequences(groups: Many[ScoredGroup], recipe: TrainingRecipe) -> list[Sequence]:
    """The batch of a step, group by group, completion by completion.

    What is not trained on is left out: its tokens are in no mean.
    """
    rules = recipe.algorithm
    rewards = [[s.reward if s.is_verified else None for s in group.scores] for group in groups]
    gains = advantages(rewards, rules.baseline, rules.advantage_scale)
    kept = [
        [
            (completion, gain)
            for completion, score, gain in zip(
                group.rollout.completions, group.scores, row, strict=True
            )
            if is_trained(completion, score, rules)
        ]
        for group, row in zip(groups, gains, strict=True)
    ]
    lengths = [[len(completion.token_ids) for completion, _ in row] for row in kept]
    weights = token_weights(lengths, rules.aggregation, recipe.sampler.max_tokens)
    return [
        Sequence(
            prompt=group.rollout.prompt.token_ids,
            completion=completion.token_ids,
            behaviour_logprobs=completion.behaviour_logprobs,
            advantage=gain,
            weight=weight,
        )
        for group, row, shares in zip(groups, kept, weights, strict=True)
        for (completion, gain), weight in zip(row, shares, strict=True)
    ]
