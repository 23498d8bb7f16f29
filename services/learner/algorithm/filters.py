"""What a step is made of: which groups, and which completions of them."""

from collections.abc import Sequence

from openrs_core.recipe.algorithm import AlgorithmSection
from openrs_core.wire.messages import Completion, Score


def has_signal(rewards: Sequence[float]) -> bool:
    """Do the rewards of a group differ at all?"""
    return len(rewards) > 1 and max(rewards) - min(rewards) > 1e-9


def is_trained(completion: Completion, score: Score, rules: AlgorithmSection) -> bool:
    """Do the tokens of this completion carry a loss?

    Not those of one that nobody could verify; and with `truncated = "masked"` (DAPO's overlong
    filtering, arXiv 2503.14476) not those of one that was cut off, whose reward still counts in
    the baseline of the others.
    """
    is_masked = rules.truncated == "masked" and completion.finish_reason == "length"
    return score.is_verified and not is_masked
