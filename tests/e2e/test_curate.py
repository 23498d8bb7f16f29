"""`openrs curate` with the toy model: killed and resumed, it makes the same bytes."""

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from openrs_core.record.lines import ProgressLine
from openrs_core.record.reader import RecordReader
from services.toy.task import take
from tests.conftest import wait_until
from tests.curation import written
from tests.e2e.ring import ROOT, command, sets, start
from tests.planted_problems import Planted, stand_in
from tests.processes import of_session, playing, showing
from tests.rewordings import retyped

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RECIPE = """
name = "sums"
redelivery_seconds = 5.0

[model]
path = "toy"
dtype = "float32"

[data]
max_prompt_tokens = 64

[sampler]
max_tokens = 32
max_sequences = 16
kv_cache_mib = 256
eager = true

[curate]
in_flight = 16
rules = {{ leave_out = ["proof"] }}

[curate.solve]
samples = 4
temperature = 1.0

[[curate.sources]]
name = "sums"
source = "{problems}"

[[curate.parts]]
name = "hard"
of = "sums"
high = 0.5
count = 40

[[curate.parts]]
name = "easy"
of = "sums"
low = 0.5

[[curate.benchmarks]]
name = "stand-in"
source = "{benchmark}"
"""

PROBLEMS = 120
TOTAL = 4 * PROBLEMS
"""Completions that are asked for."""


@pytest.fixture
def recipe(tmp_path) -> Path:
    """Chain sums, two copies of a benchmark's problems among them, and one proof."""
    benchmark = stand_in(2)
    rows = [
        Planted(chain.expression, chain.problem, chain.answer)
        for chain in take("train", 4, 0, PROBLEMS)
    ]
    rows[5:5] = [Planted(f"copy-{r.id}", retyped(r.problem, 0), "1") for r in benchmark]
    rows.append(Planted("proof", "Prove that 1+1=2, in as few words as you can.", "2"))
    path = tmp_path / "recipe.toml"
    path.write_text(
        RECIPE.format(
            problems=written(tmp_path / "problems.jsonl", rows),
            benchmark=written(tmp_path / "benchmark.jsonl", benchmark),
        )
    )
    return path


def curate(recipe: Path, curated: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run `openrs curate` to its end."""
    return subprocess.run(
        command("curate", str(recipe), "--curated", str(curated), *more),
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def made(directory: Path) -> dict[str, bytes]:
    """What a curation leaves: the data set, and what is not in it."""
    files = [*(directory / "dataset").iterdir(), *directory.glob("*.jsonl")]
    return {path.name: path.read_bytes() for path in files if path.name != "metrics.jsonl"}


def more_than(kept: int, directory: Path) -> bool:
    """Are more completions kept, and not yet all?"""
    return kept < solved(directory) < TOTAL


def solved(directory: Path) -> int:
    """Completions that are kept, as far as the record says."""
    lines = RecordReader(directory).follow() if directory.exists() else []
    found = [x.done for x in lines if isinstance(x, ProgressLine) and x.stage == "solving"]
    return found[-1] if found else 0


def test_killed_three_times_it_makes_the_same_bytes(recipe, tmp_path):
    """The whole ring, the curator alone, a sampler alone; each in the middle of its work."""
    whole = curate(recipe, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    told = json.loads(whole.stdout.splitlines()[-1])
    expected = made(tmp_path / "whole" / "sums")
    assert told["problems"] == expected["problems.jsonl"].count(b"\n") > 20
    assert set(expected) == {
        "README.md", "problems.jsonl", "problems.parquet", "funnel.png", "difficulty.png",
        "hits.jsonl", "left_out.jsonl",
    }  # fmt: skip
    assert expected["hits.jsonl"].count(b'"benchmark": "stand-in/') == 2

    directory = tmp_path / "killed" / "sums"
    arguments = ("curate", str(recipe), "--curated", str(tmp_path / "killed"))
    first = start(tmp_path / "first.log", *arguments)
    wait_until(lambda: more_than(0, directory), "some answers", seconds=200)
    first.kill()
    first.wait(30)
    wait_until(lambda: not showing(tmp_path / "killed"), "all to end with it", seconds=60)
    kept = solved(directory)
    assert kept < TOTAL

    log = tmp_path / "second.log"
    second = start(log, *arguments, "--resume")
    for role in ("curator", "sampler"):
        wait_until(partial(more_than, kept, directory), "more answers", seconds=200)
        process = playing(role, second.pid)
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        kept = solved(directory)
    assert second.wait(400) == 0, log.read_text()
    assert "was killed by SIGKILL" in log.read_text()
    assert of_session(second.pid) == []
    assert made(directory) == expected


def test_a_judge_that_answers_nonsense_ends_it_in_one_line(recipe, tmp_path):
    """The toy can only add: it is no judge, and that is the user's to mend."""
    values = sets(("curate.judge.ask=true", "curate.judge.prompt={problem}", "curate.in_flight=64"))
    found = curate(recipe, tmp_path / "judged", *values)
    assert found.returncode == 2
    assert "answers are neither \\boxed{keep} nor \\boxed{drop}" in found.stderr
    assert "Traceback" not in found.stderr


def test_more_tokens_than_the_model_was_made_for_are_refused_in_one_line(recipe, tmp_path):
    found = curate(recipe, tmp_path / "long", *sets(("data.max_prompt_tokens=2048",)))
    assert found.returncode == 2
    assert "together more than the 512 tokens that toy was made for" in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "long").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"sums"\nsource', '"sums"\nanswer_field = "x"\nsource', "set curate.sources.sums.answer"),
        ("benchmark.jsonl", "gone.jsonl", "curate.benchmarks.stand-in.source is"),
        ("problems.jsonl", "gone.jsonl", "curate.sources.sums.source is"),
        ("count = 40", "conut = 40", "curate.parts.0.conut is no key of a recipe"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(recipe, tmp_path, old, new, said):
    """Before anything is started; nothing is left behind."""
    recipe.write_text(recipe.read_text().replace(old, new))
    found = curate(recipe, tmp_path / "refused")
    assert found.returncode == 2, found.stderr
    assert said in found.stderr.splitlines()[-1]
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "refused").exists()


def test_without_a_model_no_ring_is_started(recipe, tmp_path):
    """A mix by text alone; what is made can be curated again."""
    text = recipe.read_text().replace("high = 0.5", "").replace("low = 0.5", "")
    recipe.write_text(text.replace("samples = 4", "samples = 0"))
    found = curate(recipe, tmp_path / "by-text")
    assert found.returncode == 0, found.stderr
    directory = tmp_path / "by-text" / "sums"
    assert not (directory / "logs").exists()
    assert json.loads(found.stdout)["problems"] == PROBLEMS
    again = curate(recipe, tmp_path / "by-text")
    assert again.returncode == 2
    assert "choose another id, or add --resume" in again.stderr
