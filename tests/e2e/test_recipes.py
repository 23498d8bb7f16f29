"""Every recipe that wants GPUs runs end to end, on the toy and with shorter completions."""

import subprocess

import pytest

from openrs_core.recipe.file import load
from tests.e2e.ring import ROOT, command, lines, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def toy_files(tmp_path_factory):
    """The toy as a model directory and two files, where a recipe wants those."""
    directory = tmp_path_factory.mktemp("toy") / "toy"
    subprocess.run(command("toy", str(directory)), check=True, cwd=ROOT)
    return (
        f"model.path={directory}/model", f"data.train={directory}/train.jsonl",
        f"data.held_out={directory}/held_out.jsonl", "model.dtype=float32",
        "data.max_prompt_tokens=400", "sampler.kv_cache_mib=256", "sampler.eager=true",
    )  # fmt: skip


CAPS = {
    "open_rs1": ("sampler.max_tokens=64",),
    "open_rs2": ("sampler.max_tokens=64",),
    "open_rs3": ("sampler.max_tokens=64",),
    "open_rs_stable": ("sampler.max_tokens=64", "length.first=32", "evaluation.max_tokens=32"),
}
"""What of each recipe is too long for the toy."""


@pytest.mark.parametrize("name", CAPS)
def test_a_recipe_for_gpus_runs_with_the_toy_in_its_place(name, toy_files, tmp_path):
    """All its rewards, its loss and its evaluation, on a model that fits a CPU."""
    path = ROOT / "recipes" / f"{name}.toml"
    recipe = load(path)
    short = ("learner.steps=2", "learner.warmup_steps=1", "evaluation.problems=8")
    found = up(tmp_path, "run", *toy_files, *CAPS[name], *short, recipe=path)
    assert found.returncode == 0, found.stderr
    steps = lines(tmp_path / "run", "step")
    assert [step["version"] for step in steps] == [1, 2]
    assert all(set(step["components"]) == set(recipe.scorer.weights) for step in steps)
    asked = recipe.learner.groups_per_step * recipe.learner.group_size
    assert all(step["completions"] == asked for step in steps)
    assert [line["version"] for line in lines(tmp_path / "run", "evaluation")] == [0, 2]


def test_every_recipe_for_gpus_is_run():
    assert {path.stem for path in (ROOT / "recipes").glob("open_rs*.toml")} == set(CAPS)
