"""A process that is started again when it dies."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from openrs_core.lifecycle import EXIT_USER, die_with_parent
from services.supervisor.restarts import Restarts


class Supervised:
    """One process after another that does the same work, and their common log."""

    def __init__(self, name: str, log: Path, most: int) -> None:
        """`most`: how many restarts within ten minutes."""
        self.name, self.log = name, log
        self._restarts, self._start_at = Restarts(most), 0.0
        log.parent.mkdir(parents=True, exist_ok=True)

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Begin a life."""
        self._command, self._env = command, env
        self._started, self._start_at = time.monotonic(), 0.0
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                env={**os.environ, **env}, start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of its latest life."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    @property
    def is_finished(self) -> bool:
        """Has it ended because its work is done?"""
        return False

    def look(self) -> str:
        """Start it again when it died and its pause is over; returns what to tell the user.

        Raises:
            ChildProcessError: it will not be started again.
        """
        if self.exit_code is None or self.is_finished:
            return ""
        now = time.monotonic()
        if self._start_at:
            if now >= self._start_at:
                self.start(self._command, self._env)
            return ""
        pause = self._restarts.pause(now, now - self._started)
        if self.exit_code == EXIT_USER or pause is None:
            raise ChildProcessError(self.how_it_ended())
        self._start_at = now + pause
        return (
            f"{self.name} {self.how_it_ended()}: starting it again in {pause:.1f} s "
            f"(restart {self._restarts.count} of at most {self._restarts.most} in ten minutes)"
        )

    def how_it_ended(self) -> str:
        """The end of its latest life, in words."""
        code = self.exit_code or 0
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def terminate(self) -> None:
        """Ask it to end."""
        if self.exit_code is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; kill it when it takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-count:])
