"""Presets: published algorithms as values of other keys, and nothing else.

`preset = "dapo"` gives these keys their values; all others keep theirs. A key that the recipe or
`--set` gives another value is a contradiction, and refused. What a paper has that no key expresses
is said beside it. All of them leave out groups without signal, as DAPO does.

The papers' trainers are synchronous: there the ratio is 1 but for their several minibatches per
batch. Here staleness moves it, and `clip` takes the gradient of tokens that moved too far.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Preset = Literal["", "grpo", "dr_grpo", "dapo", "rloo", "reinforce_pp", "gspo", "open_rs"]

Keys = Mapping[str, Any]
"""Sections and key, with points between them -> value."""

_SYMMETRIC: Keys = {
    "algorithm.loss": "clip",
    "algorithm.clip_low": 0.2,
    "algorithm.clip_high": 0.2,
    "algorithm.dual_clip": 0.0,
}
"""PPO's clip."""

_BY_GROUP: Keys = {
    "algorithm.baseline": "group",
    "algorithm.advantage_scale": "group",
}
"""The advantage of GRPO."""

PRESETS: Mapping[str, Keys] = {
    # DeepSeekMath, arXiv 2402.03300: mean of sequence means, KL 0.04 in the loss
    "grpo": {
        **_SYMMETRIC,
        **_BY_GROUP,
        "algorithm.ratio_level": "token",
        "algorithm.aggregation": "sequence",
        "algorithm.kl_weight": 0.04,
    },
    # Dr. GRPO, arXiv 2503.20783: neither lengths nor deviations divide
    "dr_grpo": {
        **_SYMMETRIC,
        "algorithm.ratio_level": "token",
        "algorithm.aggregation": "constant",
        "algorithm.baseline": "group",
        "algorithm.advantage_scale": "none",
        "algorithm.kl_weight": 0.0,
    },
    # DAPO, arXiv 2503.14476: clip higher, mean of tokens, soft punishment of overlong completions.
    # There a right answer is worth 2 more than a wrong one, here 1: so half the punishment
    "dapo": {
        "scorer.weights.accuracy": 1.0,
        "scorer.weights.overlong": 0.5,
        "scorer.overlong.share": 0.2,
        "algorithm.loss": "clip",
        "algorithm.clip_low": 0.2,
        "algorithm.clip_high": 0.28,
        "algorithm.dual_clip": 0.0,
        **_BY_GROUP,
        "algorithm.ratio_level": "token",
        "algorithm.aggregation": "token",
        "algorithm.kl_weight": 0.0,
    },
    # RLOO, arXiv 2402.14740: REINFORCE on whole completions, whose log-probabilities are summed
    # (`constant` divides all of them alike); the others of the group are the baseline. The paper
    # has its KL in the reward, and samples on-policy: where the ratio is 1, cispo is REINFORCE
    "rloo": {
        "algorithm.loss": "cispo",
        "algorithm.ratio_level": "token",
        "algorithm.aggregation": "constant",
        "algorithm.baseline": "others",
        "algorithm.advantage_scale": "none",
        "algorithm.kl_weight": 0.0,
    },
    # REINFORCE++, arXiv 2501.03262: mean and deviation are the batch's. The paper has its KL in the
    # reward. Its variant with a baseline is baseline = "group" with advantage_scale = "batch"
    "reinforce_pp": {
        **_SYMMETRIC,
        "algorithm.ratio_level": "token",
        "algorithm.aggregation": "token",
        "algorithm.baseline": "batch",
        "algorithm.advantage_scale": "batch",
        "algorithm.kl_weight": 0.0,
    },
    # GSPO, arXiv 2507.18071: the ratio of the whole sequence, clipped within 3e-4 and 4e-4. Made
    # for four minibatches per batch, not for staleness: most sequences may be clipped here
    "gspo": {
        "algorithm.loss": "clip",
        "algorithm.clip_low": 3e-4,
        "algorithm.clip_high": 4e-4,
        "algorithm.dual_clip": 0.0,
        **_BY_GROUP,
        "algorithm.ratio_level": "sequence",
        "algorithm.aggregation": "sequence",
        "algorithm.kl_weight": 0.0,
    },
    # Open-RS, arXiv 2503.16219, as its code ran it (TRL 0.16): the mean over the tokens of each
    # group, and TRL's KL weight of then
    "open_rs": {
        **_SYMMETRIC,
        **_BY_GROUP,
        "algorithm.ratio_level": "token",
        "algorithm.aggregation": "group",
        "algorithm.kl_weight": 0.04,
        "algorithm.truncated": "kept",
    },
}


def filled(table: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's table with the keys of its preset beside those that are there.

    Raises:
        ValueError: a key is there with another value.
    """
    name = table.get("preset", "")
    found = dict(table)
    keys = PRESETS.get(name, {}) if isinstance(name, str) else {}
    for dotted, value in keys.items():
        *sections, key = dotted.split(".")
        inner = _opened(found, sections)
        if inner is None:
            return found  # not a section: said where it is validated
        if inner.setdefault(key, value) != value:
            raise ValueError(
                f"preset is {name!r}, which has {dotted} = {value!r}, but {dotted} is "
                f"{inner[key]!r}; leave out one of them"
            )
    return found


def _opened(table: dict[str, Any], sections: Sequence[str]) -> dict[str, Any] | None:
    """A table within tables, each copied on the way; None where something else is in the way."""
    for name in sections:
        inner = table.get(name, {})
        if not isinstance(inner, Mapping):
            return None
        table[name] = table = dict(inner)
    return table
