"""A reward of repetition: what saying the same again costs."""

from collections.abc import Sequence

from openrs_core.recipe.scorer import RepetitionSection


def repetition(token_ids: Sequence[int], rules: RepetitionSection) -> float:
    """penalty (1 - different / all), over the n-grams of the tokens; from `penalty` to 0.

    0 where there are fewer tokens than n. After arXiv 2502.03373, appendix, and open-r1's
    `get_repetition_penalty_reward`, which takes words instead of tokens.
    """
    total = len(token_ids) - rules.ngram + 1
    if total < 1:
        return 0.0
    different = len(set(zip(*(token_ids[n:] for n in range(rules.ngram)), strict=False)))
    return rules.penalty * (total - different) / total + 0.0  # never -0.0
