"""Which problems are worth another visit, by how often they were solved in the last ones.

Deterministic: what is skipped follows from the visits and the place in the data order alone. A
place that is skipped is never issued; the problem has another one in the next epoch.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from openrs_core.recipe.curriculum import CurriculumSection

LEAST_VISITS = 2
"""Before a problem is retired."""


@dataclass(slots=True)
class _History:
    """The last visits of one problem."""

    position: int
    """Of the last one, in the data order."""
    visits: list[tuple[int, int]] = field(default_factory=list)
    """Correct and verified completions of each, oldest first."""
    retired: bool = False

    @property
    def pass_rate(self) -> float:
        return sum(right for right, _ in self.visits) / sum(count for _, count in self.visits)


class Curriculum:
    """Remembers visits, and says which places of the data order to pass over."""

    def __init__(self, rules: CurriculumSection, problems: int) -> None:
        """There are so many problems in an epoch."""
        self._rules, self._problems = rules, problems
        self._histories: dict[str, _History] = {}
        self._retired = 0

    def visited(self, prompt_id: str, position: int, right: int, verified: int) -> None:
        """A group of this problem came back: so many correct among so many verified."""
        if not self._rules.enabled or not verified:
            return
        history = self._histories.setdefault(prompt_id, _History(position))
        history.position = position
        history.visits = [*history.visits, (right, verified)][-self._rules.window :]
        if not history.retired and self._is_solved(history) and self._may_retire:
            history.retired = True
            self._retired += 1

    def skips(self, position: int, prompt_id: str) -> bool:
        """Is the problem at this place to be passed over?"""
        history = self._histories.get(prompt_id)
        if history is None:
            return False
        return history.retired or self._rests(history, position)

    def next_place(self, cursor: int, prompt_at: Callable[[int], str]) -> int:
        """The first place from the cursor on that is not skipped.

        If one epoch's are all skipped, then that of the problem whose last visit is the longest
        ago; one that is retired only where all are.
        """
        places = range(cursor, cursor + self._problems)
        chosen = (place for place in places if not self.skips(place, prompt_at(place)))
        if (found := next(chosen, None)) is not None:
            return found
        return min(places, key=lambda place: self._urgency(self._histories[prompt_at(place)]))

    def state(self) -> dict[str, Any]:
        """For a checkpoint, as JSON-able values: the history of every problem visited."""
        return {prompt_id: asdict(history) for prompt_id, history in self._histories.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._histories = {
            prompt_id: _History(
                history["position"],
                [(right, count) for right, count in history["visits"]],
                history["retired"],
            )
            for prompt_id, history in state.items()
        }
        self._retired = sum(history.retired for history in self._histories.values())

    @property
    def _may_retire(self) -> bool:
        """Is more left than must be? Who has solved all but a handful would train on that alone."""
        return self._problems - self._retired - 1 >= self._rules.keep * self._problems

    def _is_solved(self, history: _History) -> bool:
        enough = len(history.visits) >= LEAST_VISITS
        return enough and history.pass_rate >= self._rules.retire_at

    def _rests(self, history: _History, position: int) -> bool:
        low, high = self._rules.prefer
        since = position // self._problems - history.position // self._problems
        return not low <= history.pass_rate <= high and since <= self._rules.rest_epochs

    def _urgency(self, history: _History) -> tuple[bool, int]:
        return history.retired, history.position
