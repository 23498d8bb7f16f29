"""What a scored group is good for, in one word.

signal          rewards differ: a step can be made of it
all_right       every verified completion is correct, and all earn the same
all_wrong       none is correct, and all earn the same
equal           some are correct, some are not, and all earn the same
all_truncated   rewards differ, but all that are verified were cut off, and such are masked
all_unverified  fewer than two completions could be verified: there is nothing to compare
failed          it could not be sampled
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from openrs_core.ledger import End
from openrs_core.recipe.algorithm import AlgorithmSection
from openrs_core.wire.messages import Score, ScoredGroup
from services.learner.algorithm.filters import has_signal, is_trained

Outcome = Literal[
    "signal", "all_right", "all_wrong", "equal", "all_truncated", "all_unverified", "failed"
]

ENDS_AS: Mapping[Outcome, End] = {
    "all_right": "zero_signal",
    "all_wrong": "zero_signal",
    "equal": "zero_signal",
    "all_truncated": "zero_signal",
    "all_unverified": "failed",  # what it was worth nobody knows: something is wrong, as with:
    "failed": "failed",
}
"""How a group that no step can be made of ends in the ledger."""


def outcome(group: ScoredGroup, rules: AlgorithmSection) -> Outcome:
    """Of one group; only verified completions count."""
    verified = [score for score in group.scores if score.is_verified]
    if len(verified) < 2:
        return "all_unverified" if group.scores else "failed"
    if not has_signal([score.reward for score in verified]):
        return _without_signal(verified)
    pairs = zip(group.rollout.completions, group.scores, strict=True)
    return "signal" if any(is_trained(*pair, rules) for pair in pairs) else "all_truncated"


def _without_signal(verified: Sequence[Score]) -> Outcome:
    right = sum(score.verdict == "correct" for score in verified)
    if right == len(verified):
        return "all_right"
    return "equal" if right else "all_wrong"
