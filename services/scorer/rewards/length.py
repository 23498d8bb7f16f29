r"""Rewards of the length of a completion: in tokens, but for a cosine that is told otherwise.

The cosine is Open-RS's (arXiv 2503.16219, the third experiment), with what its code did kept as
options: it counted characters, and did not stop at M.
"""

import math

from openrs_core.recipe.scorer import CosineSection, OverlongSection


def cosine(length: int, correct: bool, rules: CosineSection) -> float:
    """The length reward of an answer of `length` tokens or characters.

    r = lo + (hi - lo) (1 + cos(pi L / M)) / 2, with hi at L = 0 and lo at L = M, chosen by whether
    the answer is correct; arXiv 2502.03373, section 4. L stops at M if `clamp` says so.
    """
    share = length / rules.max_length
    if rules.clamp:
        share = min(1.0, share)
    at_zero, at_limit = rules.correct if correct else rules.incorrect
    return at_limit + 0.5 * (at_zero - at_limit) * (1.0 + math.cos(math.pi * share))


def beside_siblings(tokens: int, correct: bool, shortest: int, longest: int) -> float:
    """How short an answer is among the completions of its group; from -1/2 to 1/2.

    lambda = 1/2 - (L - shortest) / (longest - shortest); a correct answer earns lambda, a wrong one
    min(0, lambda), and all 0 where all are equally long: Kimi k1.5, arXiv 2501.12599.
    `shortest` and `longest` are tokens of the group's verified completions.
    """
    if longest == shortest:
        return 0.0
    gain = 0.5 - (tokens - shortest) / (longest - shortest)
    return gain if correct else min(0.0, gain)


def overlong(tokens: int, max_tokens: int, rules: OverlongSection) -> float:
    """What coming close to `max_tokens` costs; from -1 to 0.

    0 up to M - C tokens, then (M - C - L) / C, for the longest completion M and C = share M: the
    soft overlong punishment of DAPO, arXiv 2503.14476, equation 13. Nothing is longer than M here.
    """
    return min(0.0, (max_tokens - tokens) / (rules.share * max_tokens) - 1.0)
