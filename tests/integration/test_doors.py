"""Who may speak to Redis: passwords, ACL users and TLS, as the commands see them.

Whatever is refused costs one line and exit code 2, and nothing is written anywhere.
"""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from openrs_core.errors import RunError
from openrs_core.ring.address import address, refusal
from openrs_core.ring.connection import connect
from services.supervisor.redis_server import RedisServer
from tests.tls import Certificates, make_certificates, port_to, tls_port

pytestmark = pytest.mark.redis

ROOT = Path(__file__).parents[2]
TOY = str(ROOT / "recipes" / "toy.toml")
COMMANDS = {
    "up": ["up", TOY, "--run", "x"],
    "sampler": ["sampler", "--recipe", TOY, "--run", "x"],
    "scorer": ["scorer", "--recipe", TOY, "--run", "x"],
    "learner": ["learner", "--recipe", TOY, "--run", "x"],
    "weights": ["weights", "x"],
}
WRONG = "never-the-right-one"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("doors"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours from outside."""
    for name in [name for name in os.environ if name.startswith("OPENRS_REDIS")]:
        monkeypatch.delenv(name)


def shown(server: RedisServer) -> str:
    return address(server.url, {}).shown


def password(server: RedisServer) -> str:
    return str(address(server.url, {}).options["password"])


def keys(server: RedisServer) -> list[Any]:
    with redis.Redis.from_url(server.url) as client:
        return sorted(client.scan_iter())


def openrs(words: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *words], cwd=cwd, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def said_in_one_line(found: subprocess.CompletedProcess[str]) -> str:
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    [line] = found.stderr.splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_costs_one_line_and_leaves_nothing(command, server, tmp_path):
    before = keys(server)
    environment = {"OPENRS_REDIS": shown(server), "OPENRS_REDIS_PASSWORD": WRONG}
    line = said_in_one_line(openrs(COMMANDS[command], tmp_path, **environment))
    assert f"redis url {shown(server)}: wrong user or password; set OPENRS_REDIS_PASSWORD" in line
    assert WRONG not in line
    assert (keys(server), list(tmp_path.iterdir())) == (before, [])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_user_without_rights_costs_one_line_and_leaves_nothing(command, server, tmp_path):
    """It may connect and ask what server this is, and no more."""
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser("guest", enabled=True, passwords=["+guest-pw"], commands=["+info"])
    before = keys(server)
    environment = {
        "OPENRS_REDIS": shown(server), "OPENRS_REDIS_USERNAME": "guest",
        "OPENRS_REDIS_PASSWORD": "guest-pw",
    }  # fmt: skip
    line = said_in_one_line(openrs(COMMANDS[command], tmp_path, **environment))
    assert "not permitted by Redis (User guest has no permissions to run" in line
    assert "guest-pw" not in line
    assert (keys(server), list(tmp_path.iterdir())) == (before, [])


def test_no_password_is_told_from_a_wrong_one(server):
    with pytest.raises(RunError, match="a password is needed; set OPENRS_REDIS_PASSWORD_FILE"):
        connect(shown(server))


def test_the_rights_in_the_documentation_are_enough_for_a_run(server):
    """The ACL of docs/operations.md: the user sees one run, and nothing of the server."""
    page = (ROOT / "docs" / "operations.md").read_text()
    [rights] = [line for line in page.splitlines() if line.startswith("user openrs ")]
    words = rights.replace(">PASSWORD", ">right").replace("RUN", "mine").split()[2:]
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "openrs", "reset", *words)
    ours = connect(f"unix://openrs:right@{shown(server).removeprefix('unix://')}")
    assert ours.set("openrs:mine:recipe", "{}")
    for forbidden in (lambda: ours.get("openrs:other:recipe"), ours.flushall, ours.config_get):
        with pytest.raises(redis.exceptions.NoPermissionError):
            forbidden()
    ours.delete("openrs:mine:recipe")


def test_a_password_file_opens_the_door(server, tmp_path, monkeypatch):
    path = tmp_path / "password"
    path.write_text(password(server) + "\n")
    monkeypatch.setenv("OPENRS_REDIS_PASSWORD_FILE", str(path))
    assert connect(shown(server)).ping()


# --- the run's own Redis -------------------------------------------------------------------------


def test_the_runs_own_redis_lets_nobody_else_in(server, tmp_path):
    """A socket and files that others cannot open, and a password that stands on no command line."""
    own = RedisServer(tmp_path / "redis")
    try:
        socket_path = Path(shown(own).removeprefix("unix://"))
        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "redis").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "redis" / "url").stat().st_mode) == 0o600
        assert (tmp_path / "redis" / "url").read_text().strip() == own.url
        assert password(own) != password(server)
        assert [line for line in command_lines() if password(own) in line] == []
        with redis.Redis.from_url(own.url) as client:
            assert client.config_get("port", "protected-mode") == {
                "port": "0", "protected-mode": "yes",
            }  # fmt: skip
    finally:
        own.close()
    files = [path for path in (tmp_path / "redis").rglob("*") if path.is_file()]
    holding = [path.name for path in files if password(own).encode() in path.read_bytes()]
    assert holding == ["url"]


def command_lines() -> list[str]:
    """Of every process there is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:  # it ended while we looked
            continue
    return found


def test_a_url_file_of_an_older_run_does_not_stay_readable(tmp_path):
    (tmp_path / "url").write_text("unix:///old\n")
    (tmp_path / "url").chmod(0o644)
    server = RedisServer(tmp_path)
    server.close()
    assert stat.S_IMODE((tmp_path / "url").stat().st_mode) == 0o600


def test_openrs_weights_finds_its_way_into_the_runs_own_redis(server, tmp_path):
    """By the private file; when the run is unknown there, the password is not shown."""
    (tmp_path / "runs" / "x" / "redis").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "redis" / "url").write_text(server.url + "\n")
    line = said_in_one_line(openrs(COMMANDS["weights"], tmp_path))
    assert f"no weights of it at {shown(server)}" in line
    assert password(server) not in line


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port(server: RedisServer, certificates: Certificates) -> Iterator[int]:
    with tls_port(server.url, certificates) as port:
        yield port


def test_tls_with_a_ca_of_ones_own(server, certificates, port, monkeypatch):
    monkeypatch.setenv("OPENRS_REDIS_CA", str(certificates.ca))
    monkeypatch.setenv("OPENRS_REDIS_PASSWORD", password(server))
    client = connect(f"rediss://localhost:{port}")
    assert client.echo(b"x" * 1_000_000) == b"x" * 1_000_000


@pytest.mark.parametrize("command", COMMANDS)
def test_a_certificate_that_is_not_trusted_costs_one_line(command, port, tmp_path):
    found = openrs(COMMANDS[command], tmp_path, OPENRS_REDIS=f"rediss://localhost:{port}")
    line = said_in_one_line(found)
    assert "the certificate is not trusted" in line
    assert "name its CA's file in OPENRS_REDIS_CA" in line
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_of_another_host_is_refused(certificates, port, monkeypatch):
    monkeypatch.setenv("OPENRS_REDIS_CA", str(certificates.ca))
    with pytest.raises(RunError, match=r"the certificate is not for this host .*127\.0\.0\.1"):
        connect(f"rediss://127.0.0.1:{port}")


def test_a_tls_port_is_known_when_spoken_to_plainly(port):
    with pytest.raises(RunError, match="the port speaks TLS; write rediss://"):
        connect(f"redis://localhost:{port}")


def test_a_server_may_want_our_certificate_too(server, certificates, monkeypatch):
    monkeypatch.setenv("OPENRS_REDIS_CA", str(certificates.ca))
    monkeypatch.setenv("OPENRS_REDIS_PASSWORD", password(server))
    with tls_port(server.url, certificates, mutual=True) as port:
        with pytest.raises(RunError, match=r"TLS failed .*OPENRS_REDIS_CERT"):
            connect(f"rediss://localhost:{port}")
        monkeypatch.setenv("OPENRS_REDIS_CERT", str(certificates.cert))
        monkeypatch.setenv("OPENRS_REDIS_KEY", str(certificates.key))
        assert connect(f"rediss://localhost:{port}").ping()


def test_a_plain_port_that_hangs_up_is_no_tls_port(server):
    """It may be back in a moment, so it is no refusal."""
    with port_to(server.url) as port:
        at = address(f"redis://localhost:{port}", {})
        assert refusal(redis.ConnectionError("Connection closed by server."), at) is None


def test_a_server_that_repeats_what_it_is_sent_shows_nothing(tmp_path):
    """Whatever listens there may answer with the password, as Redis itself does without AUTH."""
    with EchoServer() as port, pytest.raises(RunError) as found:
        connect(f"redis://:{WRONG}@localhost:{port}")
    assert "does not know AUTH" in str(found.value)
    assert WRONG not in str(found.value)


class EchoServer:
    """Answers every command with an error that repeats it."""

    def __enter__(self) -> int:
        import socket

        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client:
            while sent := client.recv(1 << 16):
                words = sent.split(b"\r\n")
                repeated = b" ".join(b"'%s'" % word for word in words if word)
                client.sendall(b"-ERR unknown command 'AUTH', with args: %s\r\n" % repeated)
