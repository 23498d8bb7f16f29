"""Where the values of a recipe come from, as `openrs config --explain` says it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openrs_core.errors import RecipeError
from openrs_core.recipe.explain import explain
from openrs_core.recipe.file import flat, load, load_any, read_table
from services.cli import app

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
TOY = ROOT / "recipes" / "toy.toml"


def explained(*overrides: str, preset: dict | None = None) -> dict:
    recipe = load(TOY, overrides)
    return {e.key: e for e in explain(recipe, read_table(TOY), overrides, preset)}


def test_each_value_names_where_it_comes_from():
    found = explained("seed=3")
    origins = [found[key].origin for key in ("seed", "learner.steps", "learner.lr", "toy.terms")]
    assert origins == ["--set", "recipe", "recipe", "default"]
    assert (found["seed"].value, found["toy.terms"].value) == (3, 4)


def test_the_later_wins_also_where_it_says_the_same():
    preset = {"learner.steps": 60, "algorithm.ratio_cap": 5.0, "algorithm.kl_weight": 0.0}
    found = explained("algorithm.kl_weight=0.0", preset=preset)
    assert [found[key].origin for key in preset] == ["recipe", "preset", "--set"]


def test_a_table_is_explained_by_its_entries():
    """One set beside the recipe's, or all of them in one."""
    found = explained("scorer.weights.cosine=1")
    assert found["scorer.weights.cosine"].origin == "--set"
    assert found["scorer.weights.accuracy"].origin == "recipe"
    found = explained("scorer.weights={format=1.0}")
    assert [key for key in found if ".weights." in key] == ["scorer.weights.format"]
    assert found["scorer.weights.format"].origin == "--set"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_value_of_every_recipe_is_explained_in_a_sentence(path):
    recipe = load_any(path)
    found = explain(recipe, read_table(path))
    assert {e.key: e.value for e in found} == dict(flat(recipe.resolved()))
    assert [e.key for e in found if not e.meaning] == []
    assert {e.origin for e in found} == {"default", "recipe"}


def test_a_meaning_is_the_first_sentence_of_the_docstring():
    assert explained()["data.held_out"].meaning == (
        "The problems of the evaluation, never trained on; the same forms."
    )


def test_elsewhere_than_on_a_terminal_it_is_a_line_for_each_value():
    lines = run("config", str(TOY), "--explain", "--set", "seed=3").splitlines()
    assert lines[1] == "seed = 3  [--set]  Of the data order, the sampler and the toy model."
    assert len(lines) == len(dict(flat(load(TOY).resolved())))


def test_json_is_what_it_was_and_explained_if_asked():
    plain = json.loads(run("config", str(TOY)))
    assert plain == json.loads(run("config", str(TOY), "--json")) == load(TOY).resolved()
    found = json.loads(run("config", str(TOY), "--json", "--explain"))
    assert found[0]["key"] == "name"
    assert found[0]["origin"] == "recipe"


def run(*arguments: str) -> str:
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0
    return found.output


def test_on_a_terminal_it_is_a_table():
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "services.cli", "config", str(TOY), "--explain"]
    environment = {**os.environ, "COLUMNS": "200", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, env=environment, cwd=ROOT):
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
    os.close(ours)
    first = shown.decode().splitlines()[0]
    assert [word for word in ("key", "value", "from", "meaning") if word not in first] == []


def _read(descriptor: int) -> bytes:
    """What the other side writes; nothing once it is closed, which Linux calls an error."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def test_a_file_that_is_no_table_is_no_recipe(tmp_path):
    (tmp_path / "recipe.json").write_text("[]")
    with pytest.raises(RecipeError, match="no table of keys"):
        load(tmp_path / "recipe.json", ["seed=1"])
