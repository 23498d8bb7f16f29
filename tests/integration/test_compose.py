"""The compose files are ones that Docker Compose accepts, and say what they promise.

Nothing is started and no Docker is needed: `config` alone merges, checks and prints. The end tells
what can be told without it: how Redis gets its password, with a real server and no container.
"""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from services.supervisor.redis_server import server_binary
from tests.conftest import wait_until

ROOT = Path(__file__).parents[2]
GPU = ["compose.yaml"]
CPU = ["compose.yaml", "compose.cpu.yaml"]
OLDEST = (2, 24, 4)
"""The first Docker Compose that knows `!reset`."""


def compose(*arguments: str) -> str:
    """The output of Docker Compose; skips where there is none, or too old a one."""
    program = found()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OPENRS_")}
    done = subprocess.run(
        [*program, *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def found() -> list[str]:
    for program in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(program[0]) is None:
            continue
        asked = subprocess.run(
            [*program, "version", "--short"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0 and version(asked.stdout) >= OLDEST:
            return program
    pytest.skip(f"no Docker Compose from {'.'.join(map(str, OLDEST))} on")


def version(text: str) -> tuple[int, ...]:
    numbers = text.strip().removeprefix("v").partition("-")[0].partition("+")[0]
    return tuple(int(part) for part in numbers.split("."))


def resolved(files: list[str]) -> dict[str, Any]:
    """The services, with every default and override in force."""
    chosen = [word for file in files for word in ("--file", file)]
    services: dict[str, Any] = json.loads(compose(*chosen, "config", "--format=json"))["services"]
    return services


def gpus(service: dict[str, Any]) -> list[str]:
    reserved = service.get("deploy", {}).get("resources", {}).get("reservations", {})
    return [gpu for device in reserved.get("devices", []) for gpu in device["device_ids"]]


@pytest.mark.parametrize("files", [GPU, CPU], ids=["gpu", "cpu"])
def test_docker_compose_accepts_the_files(files: list[str]) -> None:
    chosen = [word for file in files for word in ("--file", file)]
    compose(*chosen, "config", "--quiet")


def test_each_of_the_four_gpus_has_one_owner() -> None:
    services = resolved(GPU)
    owned = {name: gpus(service) for name, service in services.items() if gpus(service)}
    assert owned == {"sampler-0": ["0"], "sampler-1": ["1"], "learner": ["2", "3"]}


def test_the_cpu_override_asks_for_no_gpu() -> None:
    services = resolved(CPU)
    assert [name for name, service in services.items() if gpus(service)] == []
    assert services["learner"]["build"]["args"]["FLAVOUR"] == "cpu"


@pytest.mark.parametrize("files", [GPU, CPU], ids=["gpu", "cpu"])
def test_every_process_runs_a_recipe_that_is_there(files: list[str]) -> None:
    recipes = {
        service["environment"]["OPENRS_RECIPE"]
        for service in resolved(files).values()
        if "OPENRS_RECIPE" in service.get("environment", {})
    }
    assert len(recipes) == 1
    assert (ROOT / recipes.pop()).is_file()


@pytest.mark.parametrize("files", [GPU, CPU], ids=["gpu", "cpu"])
def test_nothing_can_be_reached_from_outside_this_machine(files: list[str]) -> None:
    ports = [port for service in resolved(files).values() for port in service.get("ports", [])]
    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_redis_writes_down_what_it_is_given_and_evicts_nothing() -> None:
    command = " ".join(written()["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("files", [GPU, CPU], ids=["gpu", "cpu"])
def test_everything_mounted_from_this_repository_exists(files: list[str]) -> None:
    mounts = [m for s in resolved(files).values() for m in s.get("volumes", [])]
    sources = [mount["source"] for mount in mounts if mount["type"] == "bind"]
    assert [source for source in sources if not Path(source).exists()] == []


# --- the password, without Docker ----------------------------------------------------------------


def written(file: str = "compose.yaml") -> dict[str, Any]:
    """The services as they stand in the file, with YAML's anchors resolved."""
    services: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())["services"]
    return services


@pytest.mark.parametrize("name", ["sampler-0", "sampler-1", "scorer", "learner"])
def test_every_process_gets_the_password_as_a_file_it_cannot_change(name: str) -> None:
    service = written()[name]
    assert service["environment"]["OPENRS_REDIS_PASSWORD_FILE"] == "/run/secrets/redis_password"
    assert "${OPENRS_SECRETS:-secrets}:/run/secrets:ro" in service["volumes"]
    assert service["depends_on"]["redis"] == {"condition": "service_healthy"}


def test_only_containers_serve_metrics_to_other_machines() -> None:
    assert "METRICS_ADDRESS" not in (ROOT / "Dockerfile").read_text()
    assert written()["scorer"]["environment"]["OPENRS_METRICS_ADDRESS"] == "0.0.0.0"


def test_secrets_stay_out_of_the_repository_and_of_images() -> None:
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert "!secrets" not in ignored


def script(words: list[str], secrets: Path) -> list[str]:
    """A command of the file as the container runs it, with another place for the secret."""
    plain = [word.replace("$$", "$").replace("/run/secrets", str(secrets)) for word in words]
    return ["sh", "-c", *plain[1:]] if plain[0] == "CMD-SHELL" else plain


class Container:
    """The redis service, as a process of this machine."""

    def __init__(self, directory: Path) -> None:
        self.secrets, self.socket = directory / "secrets", directory / "redis.sock"
        self._programs = directory / "bin"
        self._programs.mkdir()
        self.secrets.mkdir()
        server = f'{server_binary()} "$@" --port 0 --unixsocket {self.socket} --dir {directory}'
        self.program("redis-server", f"exec {server}")
        self.program("docker-entrypoint.sh", 'exec "$@"')

    def program(self, name: str, line: str) -> None:
        (self._programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (self._programs / name).chmod(0o755)

    def start(self) -> subprocess.Popen[bytes]:
        path = f"{self._programs}:{os.environ['PATH']}"
        words = script(written()["redis"]["command"], self.secrets)
        process = subprocess.Popen(
            words, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, umask=0o077,
        )  # fmt: skip
        wait_until(self.answers, "Redis to answer", 10)
        return process

    def answers(self) -> bool:
        """Is somebody there, who asks for a password? The socket is there a moment before."""
        try:
            with self.client() as nobody:
                nobody.ping()
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False
        return True

    def client(self, **login: str) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), **login)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    container = Container(tmp_path)
    process = container.start()
    yield container
    process.terminate()
    process.wait(10)


@pytest.mark.redis
def test_redis_makes_itself_a_password_that_stands_on_no_command_line(container: Container) -> None:
    file = container.secrets / "redis_password"
    password = file.read_text()
    assert len(password) >= 40
    assert password.isalnum()
    assert stat.S_IMODE(file.stat().st_mode) == 0o444  # the processes are other users than Redis
    assert [path.name for path in container.secrets.iterdir()] == ["redis_password"]
    with container.client() as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()
    with container.client(password=password) as client:
        info = client.info()
        assert info["maxmemory_policy"] == "noeviction"
        line = Path(f"/proc/{info['process_id']}/cmdline").read_bytes()
    assert password.encode() not in line


@pytest.mark.redis
def test_a_password_of_ones_own_is_kept(tmp_path: Path) -> None:
    container = Container(tmp_path)
    (container.secrets / "redis_password").write_text("two words\n")
    process = container.start()
    with container.client(password="two words") as client:
        assert client.ping()
    process.terminate()
    process.wait(10)


@pytest.mark.redis
def test_redis_is_healthy_only_where_the_password_is_right(
    container: Container, tmp_path: Path
) -> None:
    """redis-cli, which reads REDISCLI_AUTH, is played by a script that shows what it was given."""
    container.program("redis-cli", f'echo "$REDISCLI_AUTH" > {tmp_path}/given; echo PONG')
    asked = subprocess.run(
        script(written()["redis"]["healthcheck"]["test"], container.secrets),
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}, check=False,
    )  # fmt: skip
    assert asked.returncode == 0
    password = (container.secrets / "redis_password").read_text()
    assert (tmp_path / "given").read_text().strip() == password
