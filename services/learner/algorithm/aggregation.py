"""What each token counts in the loss of a step, which is the sum of weight * loss(token).

The weights are fixed for the whole batch before it is cut into micro-batches:

    token     1 / N                       N tokens in the batch (DAPO, arXiv 2503.14476)
    sequence  1 / (S * T_i)               S sequences, T_i tokens in this one (GRPO)
    group     1 / (G * N_g)               G groups, N_g tokens in this one (what Open-RS did)
    constant  1 / (S * max_tokens)        (Dr. GRPO, arXiv 2503.20783)
"""

from collections.abc import Callable, Sequence
from typing import Literal

Aggregation = Literal["token", "sequence", "group", "constant"]


def token_weights(
    lengths: Sequence[Sequence[int]], aggregation: Aggregation, max_tokens: int
) -> list[list[float]]:
    """The weight of each token of each completion; `lengths` are completion lengths by group,
    those that are trained on. A group of which nothing is trained counts for none."""
    total = sum(sum(group) for group in lengths)
    sequences = sum(len(group) for group in lengths)
    groups = sum(bool(group) for group in lengths)
    of_group: dict[Aggregation, Callable[[int, int], float]] = {
        "token": lambda _group, _length: 1 / total,
        "sequence": lambda _group, length: 1 / (sequences * length),
        "group": lambda group, _length: 1 / (groups * group),
        "constant": lambda _group, _length: 1 / (sequences * max_tokens),
    }
    weight = of_group[aggregation]
    return [[weight(sum(group), length) for length in group] for group in lengths]
