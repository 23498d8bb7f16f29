"""Scored groups -> what the loss takes: completions with an advantage and a weight per token."""

from collections.abc import Sequence as Many

from openrs_core.recipe.training import TrainingRecipe
from openrs_core.wire.messages import ScoredGroup
from services.learner.algorithm.advantages import advantages
from services.learner.algorithm.aggregation import token_weights
from services.learner.step import Sequence


def sequences(groups: Many[ScoredGroup], recipe: TrainingRecipe) -> list[Sequence]:
    """The batch of a step, group by group, completion by completion."""
    rules = recipe.algorithm
    drawn = [group.rollout.completions for group in groups]
    rewards = [[score.reward for score in group.scores] for group in groups]
    lengths = [[len(completion.token_ids) for completion in completions] for completions in drawn]
    gains = advantages(rewards, rules.advantage_scale)
    weights = token_weights(lengths, rules.aggregation, recipe.sampler.max_tokens)
    return [
        Sequence(
            prompt=group.rollout.prompt.token_ids,
            completion=completion.token_ids,
            behaviour_logprobs=completion.behaviour_logprobs,
            advantage=gain,
            weight=weight,
        )
        for group, completions, row, shares in zip(groups, drawn, gains, weights, strict=True)
        for completion, gain, weight in zip(completions, row, shares, strict=True)
    ]
