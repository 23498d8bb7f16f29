"""The ring through the doors: a password by file, an ACL user with one run's rights, TLS."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
import redis

from services.supervisor.redis_server import RedisServer
from tests.e2e.ring import ROOT, SHORT, TOY, command, lines, sets
from tests.processes import living
from tests.tls import Certificates, make_certificates, tls_port

pytestmark = [pytest.mark.e2e, pytest.mark.redis, pytest.mark.timeout(400)]

PASSWORD = "Kei7-quie4oh-long-and-unlikely"
RIGHTS = ["~openrs:safe:*", "+@all", "-@admin", "-@dangerous", "+info"]
"""Those of docs/operations.md, for the run `safe`."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with a user `ring` that may touch one run."""
    server = RedisServer(tmp_path_factory.mktemp("doors"))
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "ring", "on", f">{PASSWORD}", *RIGHTS)
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def environment(
    server: RedisServer, certificates: Certificates, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """What a user sets: TLS to a name, the password in a file, the CA in another."""
    secret = tmp_path / "redis_password"
    secret.write_text(PASSWORD + "\n")
    with tls_port(server.url, certificates) as port:
        clean = {key: value for key, value in os.environ.items() if "OPENRS_REDIS" not in key}
        yield clean | {
            "OPENRS_REDIS": f"rediss://localhost:{port}",
            "OPENRS_REDIS_USERNAME": "ring",
            "OPENRS_REDIS_PASSWORD_FILE": str(secret),
            "OPENRS_REDIS_CA": str(certificates.ca),
        }


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


def keys(server: RedisServer) -> set[bytes]:
    with redis.Redis.from_url(server.url) as client:
        return set(client.scan_iter())


def test_the_ring_trains_through_tls_with_a_password_that_nobody_sees(
    server, environment, tmp_path
):
    """Not on a command line, in a log, in a metric, nor in any file of the run."""
    words = ["up", str(TOY), "--run", "safe", "--runs", str(tmp_path / "runs"), *sets(SHORT)]
    words += ["--redis", environment.pop("OPENRS_REDIS")]
    log = tmp_path / "up.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(*words), env=environment, cwd=ROOT, stdout=file, stderr=file
        )
    seen, metrics = watched(process, tmp_path / "runs" / "safe" / "targets.json")
    assert process.returncode == 0, log.read_text()
    directory = tmp_path / "runs" / "safe"
    assert [step["version"] for step in lines(directory, "step")] == list(range(1, 7))
    assert b"openrs_learner_policy_version" in metrics
    assert any("services.cli learner --run safe" in line for line in seen)
    assert [line for line in seen if PASSWORD in line] == []
    assert PASSWORD.encode() not in metrics
    assert holding(tmp_path, PASSWORD) == ["redis_password"]
    assert {key.split(b":")[1] for key in keys(server)} == {b"safe"}


def test_the_wrong_password_starts_nothing(server, environment, tmp_path):
    before = keys(server)
    Path(environment["OPENRS_REDIS_PASSWORD_FILE"]).write_text("wrong")
    found = run(environment, "up", str(TOY), "--run", "wrong", "--runs", str(tmp_path / "runs"))
    assert (found.returncode, found.stdout) == (2, "")
    [line] = found.stderr.splitlines()
    assert "wrong user or password" in line
    assert (keys(server), (tmp_path / "runs").exists()) == (before, False)


def test_without_the_ca_the_certificate_is_not_trusted(server, environment, tmp_path):
    before = keys(server)
    del environment["OPENRS_REDIS_CA"]
    found = run(environment, "up", str(TOY), "--run", "ca", "--runs", str(tmp_path / "runs"))
    assert (found.returncode, found.stdout) == (2, "")
    [line] = found.stderr.splitlines()
    assert "the certificate is not trusted" in line
    assert (keys(server), (tmp_path / "runs").exists()) == (before, False)


def watched(process: subprocess.Popen[bytes], targets: Path) -> tuple[set[str], bytes]:
    """Every command line seen while it ran, and the last metrics of its processes."""
    seen: set[str] = set()
    metrics: dict[str, bytes] = {}
    while process.poll() is None:
        seen |= command_lines()
        for target in json.loads(targets.read_text()) if targets.exists() else []:
            with suppress(OSError):  # not yet, or no longer
                [address] = target["targets"]
                metrics[address] = urlopen(f"http://{address}/metrics").read()
        time.sleep(0.3)
    return seen, b"".join(metrics.values())


def command_lines() -> set[str]:
    """Of every process there is."""
    found = set()
    for process in living(lambda process: True):
        with suppress(psutil.Error):  # it ended while we looked
            found.add(" ".join(process.cmdline()))
    return found


def holding(directory: Path, text: str) -> list[str]:
    """Names of the files below a directory that hold a text."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [path.name for path in files if text.encode() in path.read_bytes()]
