"""`openrs eval`: real figures from a real ring, the same ones whatever dies meanwhile."""

import json
import subprocess
from pathlib import Path

import pytest

from services.evaluator.result import read_result
from services.evaluator.samples import read_samples
from services.toy.task import PROBLEMS, take
from tests.conftest import wait_until
from tests.e2e.ring import ROOT, TOY, command, lines, start
from tests.processes import playing, showing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SIX = ("aime24", "aime25", "amc23", "math500", "minerva", "olympiadbench")
EACH, SAMPLES = 12, 32


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory) -> Path:
    """Six sets under the names of the benchmarks, made of chain sums."""
    directory = tmp_path_factory.mktemp("benchmarks")
    sums = list(dict.fromkeys(take("held_out", 4, 0, PROBLEMS["held_out"])))
    for number, name in enumerate(SIX):
        mine = sums[number * EACH : (number + 1) * EACH]
        rows = [
            {"id": f"{name}/{place}", "problem": chain.problem, "answer": chain.answer}
            for place, chain in enumerate(mine)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / f"{name}.jsonl").write_text(text)
    return directory


def arguments(benchmarks: Path, evals: Path, run: str, *more: str) -> list[str]:
    """An evaluation of the toy that takes some seconds beside its loading, and stands still soon
    while its evaluator is away."""
    return [
        "eval", "toy", "--recipe", str(TOY), "--data-dir", str(benchmarks), "--samples",
        str(SAMPLES), "--scoring", "harness", "--evals", str(evals), "--run", run,
        "--set", "sampler.max_sequences=8", "--set", "redelivery_seconds=5",
        "--set", "eval.in_flight=256", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(benchmarks, tmp_path_factory) -> Path:
    """The directory of an evaluation in which nothing died."""
    evals = tmp_path_factory.mktemp("evals")
    found = subprocess.run(
        command(*arguments(benchmarks, evals, "calm")), capture_output=True, text=True, cwd=ROOT
    )
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert set(said["accuracy"]) == set(SIX)
    assert "| olympiadbench | 12 x 32 |" in found.stderr
    return evals / "calm"


def test_an_evaluation_leaves_figures_with_intervals_a_table_pictures_and_a_row_per_sample(
    undisturbed,
):
    result = read_result(undisturbed)
    assert [each.name for each in result.sets] == list(SIX)
    for each in result.sets:
        assert (each.problems, each.samples, each.failed) == (EACH, SAMPLES, 0)
        assert each.accuracy.low < each.accuracy.value < each.accuracy.high
        assert each.pass_at["1"] <= each.pass_at["32"]
    rows = list(read_samples(undisturbed / "samples.parquet"))
    assert len(rows) == len(SIX) * EACH * SAMPLES
    assert len({(row.set, row.problem_id, row.sample) for row in rows}) == len(rows)
    assert sum(row.harness_correct for row in rows) == sum(
        problem.correct for each in result.sets for problem in each.by_problem
    )
    assert (undisturbed / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((undisturbed / "cost.json").read_text())["tokens"] == sum(
        row.tokens for row in rows
    )
    assert not (undisturbed / "groups.bin").exists()


def test_whatever_is_killed_in_the_middle_the_result_is_the_same_byte_for_byte(
    benchmarks, undisturbed, tmp_path
):
    """Nor does it matter how many samplers there are."""
    log = tmp_path / "eval.log"
    process = start(log, *arguments(benchmarks, tmp_path, "killed", "--samplers", "2"))
    directory = tmp_path / "killed"
    for role in ("sampler", "scorer", "evaluator", "redis"):
        before = kept(directory)
        wait_until(lambda n=before: kept(directory) > n, f"an answer before {role} dies", 200)
        assert not (directory / "result.json").exists(), "it was over before the last blow"
        wait_until(lambda role=role: playing(role, process.pid), role).kill()
    assert process.wait(300) == 0, log.read_text()
    assert log.read_text().count("was killed by SIGKILL: starting it again") == 4
    for name in ("result.json", "result.md", "samples.parquet", "accuracy.png"):
        assert (directory / name).read_bytes() == (undisturbed / name).read_bytes(), name
    said = (directory / "logs" / "evaluator.log").read_text()
    assert "buried" not in said, "a later life takes what an earlier one asked for"
    wait_until(lambda: not showing(tmp_path), "everything to end", seconds=15)


def kept(directory: Path) -> int:
    """Completions on record."""
    return max((line["done"] for line in lines(directory, "progress")), default=0)


def test_an_evaluation_that_was_stopped_goes_on_and_a_finished_one_does_not(
    benchmarks, undisturbed, tmp_path
):
    log = tmp_path / "eval.log"
    process = start(log, *arguments(benchmarks, tmp_path, "stopped"))
    wait_until(lambda: kept(tmp_path / "stopped"), "an answer", 200)
    process.terminate()
    assert process.wait(60) == 130
    again = ["eval", "--evals", str(tmp_path), "--run", "stopped", "--resume"]
    assert f"openrs eval --run stopped --evals {tmp_path} --resume" in log.read_text()
    found = subprocess.run(command(*again), capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    said = (tmp_path / "stopped" / "logs" / "evaluator.log").read_text()
    assert "buried" not in said, "a later life takes what an earlier one asked for"
    ours, theirs = (d / "result.json" for d in (tmp_path / "stopped", undisturbed))
    assert ours.read_bytes() == theirs.read_bytes()
    once_more = subprocess.run(command(*again), capture_output=True, text=True, cwd=ROOT)
    assert once_more.returncode == 2
    assert "the run is finished" in once_more.stderr
