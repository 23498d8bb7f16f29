"""The compose files are ones that Docker Compose accepts, and say what they promise.

Nothing is started and no Docker is needed: `config` alone merges, checks and prints.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

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
    command = " ".join(resolved(GPU)["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("files", [GPU, CPU], ids=["gpu", "cpu"])
def test_everything_mounted_from_this_repository_exists(files: list[str]) -> None:
    mounts = [m for s in resolved(files).values() for m in s.get("volumes", [])]
    sources = [mount["source"] for mount in mounts if mount["type"] == "bind"]
    assert [source for source in sources if not Path(source).exists()] == []
