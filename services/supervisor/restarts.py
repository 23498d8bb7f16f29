"""When a process that died is started again: pure, no clock of its own.

The first pause is half a second, and doubles each time the process dies young again, up to a
minute; after too many deaths it is not started again.
"""

from collections import deque

WINDOW_SECONDS = 600.0
"""Deaths longer ago are forgotten."""

YOUNG_SECONDS = 30.0
"""A process that died before this age has probably done no work at all."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0


class Restarts:
    """The restarts of one process."""

    def __init__(self, most: int) -> None:
        """`most` restarts within WINDOW_SECONDS."""
        self.most = most
        self._deaths: deque[float] = deque()
        self._young = 0

    @property
    def count(self) -> int:
        """Deaths within the window."""
        return len(self._deaths)

    def pause(self, now: float, age: float) -> float | None:
        """Seconds to wait before a process that died at this age is started again; None: never.

        Example:
            Restarts(3).pause(now=100.0, age=2.0)  # 0.5, then 1.0, 2.0, then None
        """
        while self._deaths and self._deaths[0] < now - WINDOW_SECONDS:
            self._deaths.popleft()
        self._deaths.append(now)
        self._young = self._young + 1 if age < YOUNG_SECONDS else 0
        if len(self._deaths) > self.most:
            return None
        return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** max(0, self._young - 1))
