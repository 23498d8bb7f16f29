"""The command: light, and kind to typing mistakes."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from typer.testing import CliRunner

from openrs_core.recipe.file import load
from openrs_core.record import inventory
from services.cli import COMMANDS, app

ROOT = Path(__file__).parents[2]
TOY = str(ROOT / "recipes" / "toy.toml")


def openrs(
    *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        capture_output=True, text=True, cwd=cwd, check=False, env={**os.environ, **environment},
    )  # fmt: skip


HELPS = [[], ["dead"], *(["dead", each] for each in ("list", "show", "requeue")),
         *([each.__name__.replace("_", "-")] for each in COMMANDS)]  # fmt: skip


def loads_none_of(heavy: set[str], code: str) -> None:
    """Fail where running this code fails, or imports one of these modules."""
    code += f"\nimport sys\nsys.exit(','.join({heavy} & set(sys.modules)) or 0)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("command", HELPS)
def test_help_imports_nothing_heavy(command):
    """`--help` must not wait for torch, vllm, transformers or DeepSpeed."""
    heavy = {"torch", "vllm", "transformers", "deepspeed", "math_verify", "datasets"}
    asked = f"try: app({[*command, '--help']!r})\nexcept SystemExit as end: assert not end.code"
    loads_none_of(heavy, f"from services.cli import app\n{asked}")


@pytest.mark.parametrize("module", ["loop", "main", "recorder", "health", "algorithm.sequences"])
def test_the_learners_loop_needs_no_torch(module):
    """Only its trainer does: what decides about training can be read and tested without."""
    heavy = {"torch", "transformers", "deepspeed", "datasets"}
    loads_none_of(heavy, f"import services.learner.{module}")


def test_the_scorer_loads_neither_torch_nor_vllm():
    loads_none_of({"torch", "vllm", "transformers"}, "import services.scorer.main")


ELSEWHERE = ["--set", "model.path=./nowhere", "--set", "data.train=./x.jsonl"]
NO_REWARD = ["--run", "x", "--set", "scorer.weights.nowhere:f=1"]
NOWHERE = ["--redis", "redis://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["up", TOY, "--set", "learner.lrr=1"],
            "learner.lrr is no key of a recipe; did you mean 'lr'",
        ),
        (["up", TOY, "--set", "learner.lr=x"], "learner.lr is 'x'"),
        (["up", "nowhere.toml"], "nowhere.toml: No such file"),
        (["up", TOY, "--run", "a/b"], "--run 'a/b'"),
        (["up", TOY, "--run", "none", "--resume"], "nothing to resume"),
        (["weights", "x", *NOWHERE], "start Redis there, or set --redis"),
        (["up", TOY, "--redis", "http://x", "--run", "z"], "redis url http://...: write redis://"),
        (["up", TOY, "--run", "m", *ELSEWHERE], "model.path is './nowhere': no such directory"),
        (["export", "nowhere", "out"], "checkpoint nowhere"),
        (["toy", "."], "directory . exists"),
        (["config", TOY, "--set", "toy.terms=99"], "toy.terms is 99"),
        (["dead", "requeue", "nope", "1-1"], "run 'nope': runs/nope names no Redis"),
        (["scorer", "--recipe", TOY, *NOWHERE, "--name", "x" * 1001], "--name of 1001 characters"),
        (
            ["scorer", "--recipe", TOY, *NOWHERE, *NO_REWARD],
            "scorer.weights has 'nowhere:f', but it",
        ),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(arguments, said, tmp_path):
    found = openrs(*arguments, cwd=tmp_path)
    assert found.returncode == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_weights_that_can_hold_code_are_refused(tmp_path):
    """A model directory with pickled weights only."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"")
    model = ["--set", "model.path=./model", "--set", "data.train=./x.jsonl"]
    found = openrs("up", TOY, "--run", "m", *model, cwd=tmp_path)
    assert found.returncode == 2
    assert "model.path is './model': no *.safetensors there" in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_taken_run_id_is_refused(tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    found = openrs("up", TOY, "--run", "mine", cwd=tmp_path)
    assert (found.returncode, "choose another id, or add --resume" in found.stderr) == (2, True)


def test_a_finished_run_is_not_resumed(tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "summary.json").write_text("{}")
    found = openrs("up", TOY, "--run", "mine", "--resume", cwd=tmp_path)
    assert (found.returncode, "the run is finished" in found.stderr) == (2, True)


@pytest.mark.parametrize("command", ["up", "sampler", "scorer", "learner", "weights"])
def test_a_password_on_the_command_line_is_refused_and_not_shown(command, tmp_path):
    """Whoever lists the processes of the machine would have read it."""
    subject = {"up": [TOY], "weights": ["x"]}.get(command, ["--recipe", TOY, "--run", "x"])
    found = openrs(command, *subject, "--redis", "redis://:secret@127.0.0.1:1", cwd=tmp_path)
    assert found.returncode == 2
    assert "OPENRS_REDIS_PASSWORD_FILE" in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    assert "secret" not in found.stderr + found.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_the_environment_is_taken_and_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENRS_REDIS", "redis://:secret@127.0.0.1:1")
    found = openrs("weights", "x", cwd=tmp_path)
    assert "redis url redis://127.0.0.1:1: no answer" in found.stderr
    assert "secret" not in found.stderr


@pytest.mark.parametrize("command", ["up", "learner"])
def test_strict_is_short_for_a_key_of_the_recipe(command, monkeypatch):
    from services.learner import main as learner
    from services.supervisor import main as supervisor

    found = []
    monkeypatch.setattr(learner, "main", lambda recipe, *_: found.append(recipe))
    monkeypatch.setattr(
        supervisor, "main", lambda path, values, _: found.append(load(path, values))
    )
    subject = {"up": [TOY], "learner": ["--recipe", TOY, "--run", "x"]}[command]
    CliRunner().invoke(app, [command, *subject])
    CliRunner().invoke(app, [command, *subject, "--strict", "--set", "seed=1"])
    assert [recipe.data.strict for recipe in found] == [False, True]


def test_config_shows_defaults_too():
    assert '"ratio_cap": 5.0' in openrs("config", TOY).stdout


def test_the_version_is_shown():
    assert openrs("--version").stdout.startswith("openrs 0.")


def test_an_exported_checkpoint_is_its_model_directory(tmp_path):
    model = tmp_path / "run" / "checkpoints" / "step-000030" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model.parent / "state.json").write_text(
        '{"version": 30, "incarnation": 1, "fingerprint": "f", "ledger": {}, "health": {}}'
    )
    inventory.write(model.parent)
    assert openrs("export", "run", "out", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {"use_cache": True}
    assert "out exists" in openrs("export", "run", "out", cwd=tmp_path).stderr
    (model / "config.json").write_text("[]")
    for source in ("run", "run/checkpoints/step-000030"):
        found = openrs("export", source, "other", cwd=tmp_path)
        assert (found.returncode, "config.json was altered" in found.stderr) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--best"], "run nowhere: no checkpoints/best there"),
        (["--push", "owner"], "--push 'owner' is no repository's name; give owner/name"),
        (["--push", "owner/name"], "--push owner/name: no token for the Hugging Face hub here"),
        (["--private"], "--private: nothing is published without --push"),
    ],
)
def test_what_an_export_cannot_do_is_one_line(tmp_path, more, said):
    alone = {"HF_HOME": str(tmp_path), "HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": ""}
    found = openrs("export", "nowhere", "out", *more, cwd=tmp_path, environment=alone)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert said in found.stderr
    assert not (tmp_path / "out").exists()


def test_a_learner_with_an_odd_run_id_leaves_no_directory(tmp_path):
    runs = tmp_path / "deep" / "runs"
    found = openrs("learner", "--run", "../x", "--recipe", TOY, "--runs", str(runs))
    assert found.returncode == 2
    assert "--run '../x'" in found.stderr
    assert list(tmp_path.iterdir()) == []
