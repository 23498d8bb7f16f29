"""Which groups a step is made of."""

from collections.abc import Sequence


def has_signal(rewards: Sequence[float]) -> bool:
    """Do the rewards of a group differ at all?"""
    return len(rewards) > 1 and max(rewards) - min(rewards) > 1e-9
