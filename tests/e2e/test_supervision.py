"""What dies is started again; a run has one learner."""

import signal
import subprocess
from pathlib import Path

import pytest

from openrs_core.ring.connection import connect
from openrs_core.ring.keys import Keys
from tests.conftest import wait_until
from tests.e2e.ring import ROOT, SHORT, TOY, command, lines, sets, start, up
from tests.processes import playing, showing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

LONG = (*SHORT, "learner.steps=30", "evaluation.every=30")


def start_up(directory: Path, run: str, *more: str):
    """`openrs up` in the background; its log."""
    log = directory / "up.log"
    arguments = ["up", str(TOY), "--run", run, "--runs", str(directory), *sets(LONG), *more]
    return start(log, *arguments), log


def kill(role: str, up: "subprocess.Popen[bytes]") -> None:
    """Kill the process that plays a role in a ring, once there is one."""
    wait_until(lambda: playing(role, up.pid), role).kill()


def test_each_process_that_is_killed_is_started_again_and_the_run_finishes(tmp_path):
    """Sampler, scorer, learner and the run's own Redis, one after the other."""
    run, directory = "revived", tmp_path / "revived"
    process, log = start_up(tmp_path, run)
    wait_until(lambda: lines(directory, "step"), "a step", 200)
    for role in ("sampler", "scorer", "redis", "learner"):
        kill(role, process)
        name = f"{role}-0" if role in ("sampler", "scorer") else role
        said = f"{name} was killed by SIGKILL: starting it again"
        wait_until(lambda said=said: said in log.read_text(), said, 30)
        before = len(lines(directory, "step"))
        wait_until(lambda n=before: len(lines(directory, "step")) > n, f"a step after {name}", 120)
    assert process.wait(200) == 0, log.read_text()
    assert {step["version"] for step in lines(directory, "step")} == set(range(1, 31))
    wait_until(lambda: not showing(tmp_path), "everything to end", seconds=15)


def test_a_process_that_may_not_be_started_again_ends_the_run_with_its_last_lines(tmp_path):
    process, log = start_up(tmp_path, "broken", "--restarts", "0")
    own = tmp_path / "broken" / "logs" / "sampler-0.log"
    wait_until(
        lambda: own.exists() and own.read_text().endswith("\n"), "a line of the sampler", 100
    )
    kill("sampler", process)
    assert process.wait(60) == 1
    said = log.read_text()
    assert f"sampler-0 was killed by SIGKILL, and is not started again; the end of {own}" in said
    assert own.read_text().splitlines()[-1] in said
    wait_until(lambda: not showing(tmp_path), "everything to end", seconds=15)


def test_what_the_user_has_to_mend_ends_the_run_with_exit_code_2(tmp_path):
    """Here a row that the learner refuses, as it checks rows strictly."""
    toy = tmp_path / "toy"
    subprocess.run(command("toy", str(toy)), check=True, cwd=ROOT)
    with (toy / "train.jsonl").open("a") as file:
        file.write("{\n")
    found = up(
        tmp_path, "strict", f"model.path={toy}/model", f"data.train={toy}/train.jsonl",
        "data.held_out=", more=("--strict",),
    )  # fmt: skip
    assert found.returncode == 2
    assert "learner ended with exit code 2, and is not started again" in found.stderr
    assert "it is no JSON" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.fixture
def by_hand(tmp_path, redis_url, client):
    """Starts processes of one run by hand; none is left at the end."""
    shared = ["--recipe", str(TOY), "--run", "hand", "--redis", redis_url]
    shared += sets((*SHORT, "learner.steps=1000", "evaluation.every=1000"))
    started = []

    def begin(role: str, name: str) -> "subprocess.Popen[bytes]":
        more = ["--runs", str(tmp_path)] if role == "learner" else []
        started.append(start(tmp_path / f"{name}.log", role, *shared, *more))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_a_second_learner_is_refused_while_the_first_is_alive(by_hand, tmp_path, redis_url):
    by_hand("learner", "first")
    keys = Keys("hand")
    wait_until(lambda: connect(redis_url).exists(keys.learner), "the first one's lease", 60)
    second = by_hand("learner", "second")
    assert second.wait(60) == 2
    [said] = (tmp_path / "second.log").read_text().strip().splitlines()[-1:]
    assert "run 'hand' already has a learner" in said
    assert "stop that one first" in said


def test_a_learner_that_stood_still_and_was_replaced_finds_itself_fenced(by_hand, tmp_path):
    """It wakes up in the middle of its work, and does not know: Redis tells it, and it stops."""
    for role in ("scorer", "sampler"):
        by_hand(role, role)
    paused, directory = by_hand("learner", "paused"), tmp_path / "hand"
    wait_until(lambda: len(lines(directory, "step")) >= 4, "four steps", 200)
    paused.send_signal(signal.SIGSTOP)
    by_hand("learner", "next")
    wait_until(lambda: len(lines(directory, "life")) == 2, "the next life", 120)
    paused.send_signal(signal.SIGCONT)
    assert paused.wait(60) == 2, (tmp_path / "paused.log").read_text()
    assert "another learner has taken over" in (tmp_path / "paused.log").read_text()
    made = len([s for s in lines(directory, "step") if s["incarnation"] == 2])
    wait_until(
        lambda: len([s for s in lines(directory, "step") if s["incarnation"] == 2]) > made,
        "steps of the one that is left", 120,
    )  # fmt: skip
    after = [s["incarnation"] for s in lines(directory, "step")]
    assert after == sorted(after), "the fenced one has recorded no step since"
