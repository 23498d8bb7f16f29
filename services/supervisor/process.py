"""One process of the ring, as its supervisor sees it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = {"learner": 300.0}
"""A process that has not ended this long after SIGTERM is killed; a large checkpoint takes time."""

OTHER_STOP_SECONDS = 10.0

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class RingProcess:
    """A role that runs `openrs ROLE ...` and writes its log to a file."""

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, env: Mapping[str, str]
    ) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", *arguments],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                env={**os.environ, **env}, start_new_session=True,
                preexec_fn=die_with_parent,
            )  # fmt: skip

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.exit_code is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until it has stopped; kill it when it does not."""
        try:
            self._process.wait(STOP_SECONDS.get(self.name, OTHER_STOP_SECONDS))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-count:])
