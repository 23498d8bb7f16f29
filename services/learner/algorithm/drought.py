"""Is there anything to learn from at all? Says so when there has been nothing for long."""

from collections import Counter

from services.learner.algorithm.outcome import Outcome

PATIENCE_STEPS = 4
"""So many steps' worth of groups in a row without signal are worth a line. Where one group in ten
has a signal, 64 others in a row (of steps of 16) come once in a thousand."""


class Drought:
    """Counts groups since the last one with signal."""

    def __init__(self, groups_per_step: int) -> None:
        self._patience = PATIENCE_STEPS * groups_per_step
        self._since: Counter[Outcome] = Counter()

    def see(self, outcome: Outcome) -> str:
        """One more group; what is to be said, if anything is: again after as many groups more."""
        if outcome == "signal":
            self._since.clear()
            return ""
        self._since[outcome] += 1
        if self._since.total() % self._patience:
            return ""
        split = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in self._since.most_common())
        return (
            f"none of the last {self._since.total()} groups had a signal ({split}): there is "
            "nothing to learn from problems that are too easy, too hard or cannot be verified"
        )
