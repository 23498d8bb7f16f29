"""One process of the ring, as its supervisor sees it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.supervisor.supervised import Supervised

STOP_SECONDS = {"learner": 300.0}
"""A process that has not ended so long after SIGTERM is killed; a large checkpoint takes time."""

OTHER_STOP_SECONDS = 10.0


class RingProcess(Supervised):
    """A role that runs `openrs ROLE ...` and writes its log to a file."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        env: Mapping[str, str],
        most: int,
        *,
        ends: bool,
    ) -> None:
        """`ends`: its work has an end; the others work until they are stopped."""
        super().__init__(name, log, most)
        self._ends = ends
        self.start([sys.executable, "-m", "services.cli", *arguments], env)

    @property
    def is_finished(self) -> bool:
        """Has it done all its work?"""
        return self._ends and self.exit_code == 0

    def join(self) -> None:
        """Wait until it has stopped; kill it when it does not."""
        self.wait(STOP_SECONDS.get(self.name, OTHER_STOP_SECONDS))
