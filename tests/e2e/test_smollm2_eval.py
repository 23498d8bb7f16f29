"""A real model on real benchmark problems: fifty of MATH-500."""

import json
import subprocess

import pytest

from services.evaluator.result import read_result
from services.evaluator.samples import read_samples
from tests.benchmark_problems import DIRECTORY
from tests.e2e.ring import ROOT, command
from tests.smollm2 import smollm2_directory

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PROBLEMS = 50

needs_both = pytest.mark.skipif(
    not ((smollm2_directory() / "config.json").exists() and (DIRECTORY / "math500.jsonl").exists()),
    reason="SmolLM2-135M (`make smollm2`) or the benchmarks (OPENRS_BENCHMARKS) are not here",
)


@needs_both
def test_smollm2_is_evaluated_on_problems_of_a_benchmark(tmp_path):
    """Cut short, so hardly anything is right: but everything is asked, scored and counted."""
    found = subprocess.run(
        command(
            "eval", str(smollm2_directory()), "--benchmarks", "math500", "--data-dir",
            str(DIRECTORY), "--problems", str(PROBLEMS), "--samples", "2", "--max-tokens", "48",
            "--scoring", "harness", "--evals", str(tmp_path), "--run", "smollm2",
            "--set", "model.dtype=float32", "--set", "sampler.kv_cache_mib=512",
            "--set", "sampler.eager=true", "--set", "data.max_prompt_tokens=1024",
        ),
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    [result] = read_result(tmp_path / "smollm2").sets
    assert (result.name, result.problems, result.samples) == ("math500", PROBLEMS, 2)
    assert 0 <= result.accuracy.low <= result.accuracy.value <= result.accuracy.high < 0.5
    assert result.truncated > 0.5
    rows = list(read_samples(tmp_path / "smollm2" / "samples.parquet"))
    assert len(rows) == PROBLEMS * 2
    assert len({row.text for row in rows}) > PROBLEMS, "samples of a problem differ"
    assert json.loads(found.stdout)["accuracy"]["math500"]["value"] == result.accuracy.value
