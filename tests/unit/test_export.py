"""`openrs export`: what lies in the directory for others, and what does not."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from openrs_core.errors import RunError
from openrs_core.recipe.file import load
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record import inventory
from openrs_core.record.directory import METRICS, keep_recipe
from openrs_core.record.lines import LifeLine, written
from services.evaluator.result import Result
from services.exporter import hub, main
from services.exporter.card import public
from services.exporter.main import Wanted, export
from services.model.weights import base_policy
from tests.builders import a_step, an_evaluation

ROOT = Path(__file__).parents[2]
WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3) / 7, "n": torch.tensor([1, 2])}
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "dtype": "float32",
    "use_cache": False, "_name_or_path": "/home/somebody/base",
    "text_config": {"use_cache": False, "_name_or_path": "/home/somebody/base"},
}  # fmt: skip
GENERATION = {"eos_token_id": [7, 9], "top_k": 20, "temperature": 0.1, "use_cache": False}
TOKENIZER = {"name_or_path": "/home/somebody/base", "is_local": True, "eos_token": "</s>"}


def recipe(*overrides: str) -> TrainingRecipe:
    return load(ROOT / "recipes" / "toy.toml", overrides)


def write_checkpoint(path: Path, **state: Any) -> None:
    """A model in several forms of trouble, beside a small state."""
    model = path / "model"
    model.mkdir(parents=True)
    save_file(WEIGHTS, model / "model.safetensors", metadata={"format": "pt"})
    (model / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 40}}')
    for name, table in (
        ("config", CONFIG), ("generation_config", GENERATION), ("tokenizer_config", TOKENIZER)
    ):  # fmt: skip
        (model / f"{name}.json").write_text(json.dumps(table))
    (model / "chat_template.jinja").write_text("{{ messages }}")
    if state:
        (path / "state.json").write_text(json.dumps(state))
    inventory.write(path)


@pytest.fixture
def run(tmp_path):
    """A run of three steps, evaluated at its ends, with checkpoints of the second and the third."""
    directory = tmp_path / "home" / "runs" / "mine-1"
    keep_recipe(directory, recipe("evaluation.temperature=0.6"))
    lines = [LifeLine(incarnation=1, version=0, problems=8192, too_long=3)]
    lines += [an_evaluation(0, accuracy=0.25, problems=32)]
    lines += [a_step(version) for version in (1, 2, 3)]
    lines += [an_evaluation(3, problems=32)]
    (directory / METRICS).write_text("".join(map(written, lines)))
    for version in (2, 3):
        write_checkpoint(
            directory / "checkpoints" / f"step-00000{version}", version=version, incarnation=1
        )
    return directory


def table(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_a_run_s_newest_checkpoint_becomes_a_directory_for_others(run, tmp_path):
    export(run, tmp_path / "out", Wanted())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md", "held-out.png", "config.json", "generation_config.json",
        "tokenizer_config.json", "chat_template.jinja", "model.safetensors",
        "model.safetensors.index.json",
    }  # fmt: skip
    assert not list(tmp_path.glob("*.partial"))


def test_plain_generation_uses_its_cache(run, tmp_path):
    """Open-RS's models were published without, and took some 200 times as long."""
    export(run, tmp_path / "out", Wanted())
    for name in ("config.json", "generation_config.json"):
        assert table(tmp_path / "out" / name)["use_cache"] is True
    assert table(tmp_path / "out" / "config.json")["text_config"] == {"use_cache": True}
    assert AutoConfig.from_pretrained(tmp_path / "out").model_type == "qwen2"


def test_nothing_in_it_names_a_place_on_this_machine(run, tmp_path):
    keep = recipe(f"data.train={tmp_path}/secret/train.jsonl", f"model.path={tmp_path}/secret/base",
                  "data.held_out=~/secret/test.jsonl")  # fmt: skip
    (run / "recipe.json").write_text(json.dumps(keep.resolved()))
    export(run, tmp_path / "out", Wanted())
    texts = [path for path in (tmp_path / "out").iterdir() if path.suffix in (".json", ".md")]
    for path in texts:
        for place in (str(tmp_path), "secret", "somebody", "is_local", str(Path.home())):
            assert place not in path.read_text(), (path.name, place)
    assert public(keep)["data"]["train"] == "train.jsonl"


def test_generation_begins_as_it_was_evaluated_and_ends_as_the_base_says(run, tmp_path):
    export(run, tmp_path / "out", Wanted())
    assert table(tmp_path / "out" / "generation_config.json") == {
        "eos_token_id": [7, 9], "top_k": 20, "temperature": 0.6, "top_p": 1.0, "do_sample": True,
        "use_cache": True,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_can_be_written_in_another_type(run, tmp_path, dtype):
    export(run, tmp_path / "out", Wanted(dtype=dtype))
    found = load_file(tmp_path / "out" / "model.safetensors")
    wanted = getattr(torch, dtype)
    assert torch.equal(found["a"], WEIGHTS["a"].to(wanted))
    assert torch.equal(found["n"], WEIGHTS["n"])
    assert table(tmp_path / "out" / "config.json")["dtype"] == dtype
    index = table(tmp_path / "out" / "model.safetensors.index.json")
    assert index["metadata"]["total_size"] == 6 * 2 + 2 * 8


def test_weights_stay_as_they_are_otherwise(run, tmp_path):
    export(run, tmp_path / "out", Wanted())
    source = run / "checkpoints" / "step-000003" / "model" / "model.safetensors"
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == source.read_bytes()


def test_the_card_says_how_the_model_came_about(run, tmp_path):
    export(run / "checkpoints" / "step-000002", tmp_path / "mine", Wanted())
    card = (tmp_path / "mine" / "README.md").read_text()
    for said in (
        "library_name: transformers", "# mine", "after step 2 of 60", "![Held-out accuracy",
        "| optimizer steps | 2, each of 16 problems with 8 completions |",
        "| completions trained on | 16 |", "| held out | toy, 32 problems |",
        "| trained on | toy, 8,192 problems (3 left out as too long) |",
        "1 accuracy + 0.2 format", '"max_staleness": 2', "openrs 0.",
        "SamplingParams(max_tokens=96, temperature=0.6, top_p=1.0)", "dtype='float32')",
    ):  # fmt: skip
        assert said in card, said


def test_the_card_names_what_the_hub_can_link(run, tmp_path):
    keep = recipe("model.path=owner/base", "data.train=owner/set:train[9:]", "data.held_out=")
    (run / "recipe.json").write_text(json.dumps(keep.resolved()))
    export(run, tmp_path / "out", Wanted())
    front = (tmp_path / "out" / "README.md").read_text().split("---")[1]
    assert "base_model: owner/base" in front
    assert "datasets:\n- owner/set\n" in front
    assert "license" not in front


def test_the_license_is_the_one_of_the_base_model(run, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: mit\n---\n# Base\n")
    keep = recipe(f"model.path={base}", "data.train=a.jsonl", "data.held_out=")
    (run / "recipe.json").write_text(json.dumps(keep.resolved()))
    export(run, tmp_path / "out", Wanted())
    assert "license: mit\n" in (tmp_path / "out" / "README.md").read_text()


def test_the_examples_of_use_are_python_and_ask_as_the_training_did(run, tmp_path):
    keep = recipe('data.system_prompt="Box it: \\\\boxed{{}}."', 'data.user_prompt="Q: {problem}"')
    (run / "recipe.json").write_text(json.dumps(keep.resolved()))
    export(run, tmp_path / "out", Wanted())
    asked, *others = (tmp_path / "out" / "README.md").read_text().split("```python\n")[1:]
    for block in others:
        compile(block.split("```")[0], "card", "exec")
    found: dict[str, Any] = {}
    exec(asked.split("```")[0], found)
    assert [each["content"] for each in found["messages"]] == [
        keep.data.system_prompt, "Q: What is 8+9-4-6?"
    ]  # fmt: skip


def test_a_checkpoint_away_from_its_run_is_exported_with_a_short_card(run, tmp_path):
    (run / "checkpoints" / "step-000003").rename(tmp_path / "alone")
    export(tmp_path / "alone", tmp_path / "out", Wanted())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "the record of it is not here" in card
    assert "## Training" not in card


def test_the_best_policy_of_a_run_is_exported_by_its_name_or_by_its_place(run, tmp_path):
    best = run / "checkpoints" / "best"
    write_checkpoint(best)
    (best / "evaluation.json").write_text(json.dumps(asdict(an_evaluation(1, accuracy=0.9))))
    inventory.write(best)
    export(run, tmp_path / "by-name", Wanted(best=True))
    export(best, tmp_path / "by-place", Wanted())
    for name in ("by-name", "by-place"):
        assert "after step 1 of 60" in (tmp_path / name / "README.md").read_text()


def test_what_is_half_written_never_stays(run, tmp_path, monkeypatch):
    def broken(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(main, "card", broken)
    with pytest.raises(RunError, match="out: No space left on device; give another"):
        export(run, tmp_path / "out", Wanted())
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


# --- results -------------------------------------------------------------------------------------


def write_result(path: Path, name: str, digest: str, **protocol: Any) -> Path:
    """An evaluation of one problem, asked twice."""
    share = {"value": 0.5, "standard_error": None, "low": 0.0, "high": 1.0}
    only = {
        "name": "aime24", "digest": "d", "problems": 1, "samples": 2, "accuracy": share,
        "pass_at": {"1": 0.5, "2": 1.0}, "maj_at": {"1": 0.5, "2": 0.5}, "truncated": 0.0,
        "unverified": 0.0, "failed": 0, "tokens": 9.0, "disagreements": 1,
        "by_problem": [{"id": "a", "correct": 1, "samples": 2, "tokens": 9.0, "truncated": 0}],
    }  # fmt: skip
    asked = {
        "preset": "paper", "samples": 2, "temperature": 0.7, "top_p": 0.95, "max_tokens": 64,
        "seed": 0, "system_prompt": "", "user_prompt": "{problem}", "examples": [],
        "max_prompt_tokens": 64, "scoring": "harness", **protocol,
    }  # fmt: skip
    model = {"name": name, "digest": digest, "dtype": "float32"}
    result = Result(
        model=model, protocol=asked, sets=[only], average=share, versions={"openrs": "0.1.0"}
    )
    path.mkdir(parents=True)
    (path / "result.json").write_text(result.text())
    return path


def digest_of(run: Path) -> str:
    return base_policy(str(run / "checkpoints" / "step-000003" / "model"), "float32").digest()


def test_evaluations_of_the_model_are_found_by_the_digest_of_its_weights(run, tmp_path):
    evals = tmp_path / "evals"
    write_result(evals / "own", "mine-1@step-000003", digest_of(run))
    write_result(evals / "another", "another", "0" * 64)
    (evals / "torn").mkdir()
    (evals / "torn" / "result.json").write_text('{"format": 1')
    export(run, tmp_path / "out", Wanted(evals=evals))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "### This model" in card
    assert "| aime24 | 1 x 2 | 50.0 [0.0, 100.0] |" in card
    assert "| scoring | harness |" in card
    assert "another" not in card
    assert table(tmp_path / "out" / "generation_config.json")["temperature"] == 0.7


def test_results_of_other_models_are_shown_where_they_are_given(run, tmp_path):
    given = write_result(tmp_path / "base", "the base", "0" * 64)
    export(run, tmp_path / "out", Wanted(results=(given,), evals=tmp_path))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "### the base" in card
    assert "### This model" not in card
    assert table(tmp_path / "out" / "generation_config.json")["temperature"] == 0.6


def test_a_model_that_was_evaluated_greedily_begins_so(run, tmp_path):
    given = write_result(tmp_path / "own", "mine", digest_of(run), temperature=0.0)
    export(run, tmp_path / "out", Wanted(results=(given,), evals=tmp_path / "none"))
    found = table(tmp_path / "out" / "generation_config.json")
    assert (found["do_sample"], found["eos_token_id"]) == (False, [7, 9])


def test_a_result_that_is_none_is_refused_before_anything_is_written(run, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(RunError, match="it is no result of `openrs eval`"):
        export(run, tmp_path / "out", Wanted(results=(tmp_path / "other.json",)))
    assert not (tmp_path / "out").exists()


# --- publishing --------------------------------------------------------------------------------


class FakeHub:
    """A hub that keeps what it is sent, or answers with an error."""

    def __init__(self, *, status: int = 0, public: bool = False) -> None:
        self.status, self.public, self.sent = status, public, {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        if self.status:
            error = RuntimeError("<html>refused</html>\nRequest ID: 1")
            error.response = SimpleNamespace(status_code=self.status)
            raise error
        self.private = private and not self.public

    def model_info(self, repo_id: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self.sent[repo_id] = sorted(path.name for path in folder_path.iterdir())


@pytest.mark.parametrize("private", [True, False])
def test_the_whole_directory_is_published_where_it_is_asked_for(
    run, tmp_path, monkeypatch, private
):
    there = FakeHub()
    monkeypatch.setattr(hub, "connect", lambda _: there)
    lines = export(run, tmp_path / "out", Wanted(push="me/mine", private=private))
    assert there.private is private
    assert there.sent == {"me/mine": sorted(path.name for path in (tmp_path / "out").iterdir())}
    assert lines[1].startswith("https://huggingface.co/me/mine: published")
    assert "# me/mine" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "does not know the token"),
        (403, "may not write there"),
        (404, "no such owner"),
        (500, "could not take it (RuntimeError: <html>refused</html>)"),
    ],
)
def test_what_the_hub_refuses_is_told_and_the_directory_stays(tmp_path, status, said):
    with pytest.raises(RunError) as refused:
        hub.push(FakeHub(status=status), tmp_path, "me/mine", private=False)
    assert said in str(refused.value)
    assert f"hf upload me/mine {tmp_path}" in str(refused.value)


def test_nothing_private_goes_to_a_repository_that_everybody_may_read(tmp_path):
    there = FakeHub(public=True)
    with pytest.raises(RunError, match="everybody may read it"):
        hub.push(there, tmp_path, "me/mine", private=True)
    assert there.sent == {}


def test_a_step_line_of_another_life_is_not_counted(run, tmp_path):
    with (run / METRICS).open("a") as file:
        file.write(written(LifeLine(incarnation=2, version=1)))
        file.write(written(replace(a_step(2), incarnation=2)))
    export(run / "checkpoints" / "step-000002", tmp_path / "out", Wanted())
    assert "| optimizer steps | 2, each" in (tmp_path / "out" / "README.md").read_text()
