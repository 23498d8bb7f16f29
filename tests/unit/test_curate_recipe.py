"""Recipes of data sets: every mistake gets one line that names field, value and remedy."""

from pathlib import Path
from typing import get_args

import pytest

from openrs_core.errors import RecipeError
from openrs_core.recipe.curate import EVERY_RULE, CurateRecipe, Rule
from openrs_core.recipe.file import load, load_any, load_as
from services.curator.criteria import REASONS

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("curate_open_*.toml"))

SOUND = """
name = "sound"
[model]
path = "some/model"
[[curate.sources]]
name = "all"
source = "all.jsonl"
[[curate.benchmarks]]
name = "aime24"
source = "aime24.jsonl"
"""


def refused(tmp_path: Path, *overrides: str, more: str = "") -> str:
    path = tmp_path / "recipe.toml"
    path.write_text(SOUND + more)
    with pytest.raises(RecipeError) as error:
        load_as(CurateRecipe, path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("curate.jugde.ask=true", "did you mean 'judge'"),
        ("curate.rules.leave_out=['prof']", "curate.rules.leave_out.0 is 'prof'"),
        ("curate.judge.prompt=Is it good?", "it has no {problem}"),
        ("curate.judge.nonsense=2", "curate.judge.nonsense is 2"),
        ("curate.contamination.overlap=0", "curate.contamination.overlap is 0"),
        ("curate.solve.samples=1000", "more than a sampler takes (sampler.max_sequences = 256)"),
        ("curate.judge.max_tokens=9999", "curate.judge.max_tokens is 9999, longer than the model"),
        ("curate.sources=[]", "curate.sources is []"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path, override, said):
    assert said in refused(tmp_path, override)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[[curate.sources]]\nname = "all"\nsource = "b.jsonl"', "two are called 'all'"),
        ('[[curate.sources]]\nname = "b"\nsource = "what"', "curate.sources.1.source is 'what'"),
        (
            '[[curate.sources]]\nname = "b"\nsource = "b.jsonl"\nrwos = 3',
            "curate.sources.1.rwos is no key of a recipe; did you mean 'rows'",
        ),
        ('[[curate.parts]]\nname = "b"\nof = "al"', "'b' is of 'al', but the sources are all"),
        (
            '[[curate.sources]]\nname = "b"\nsource = "b.jsonl"\n'
            '[[curate.parts]]\nname = "c"\nof = "b"',
            "no part is of 'all'",
        ),
        (
            '[[curate.parts]]\nname = "b"\nof = "all"\nlow = 0.5',
            "'b' wants pass rates from 0.5 to 1, but curate.solve.samples is 0",
        ),
        (
            '[[curate.parts]]\nname = "b"\nof = "all"\nlow = 0.5\nhigh = 0.1',
            "low is 0.5, above high = 0.1",
        ),
    ],
)
def test_a_source_or_a_part_that_cannot_be_is_named(tmp_path, more, said):
    assert said in refused(tmp_path, more=more)


def test_greedy_samples_of_one_problem_are_refused(tmp_path):
    overrides = ("curate.solve.samples=4", "curate.solve.temperature=0")
    assert "at curate.solve.temperature = 0 all are the same" in refused(tmp_path, *overrides)


def test_a_model_is_needed_where_one_is_asked(tmp_path):
    assert "model.path is missing" in refused(tmp_path, "model.path=", "curate.judge.ask=true")


def test_each_command_names_the_other_for_a_recipe_that_is_not_its_own(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(SOUND)
    with pytest.raises(RecipeError, match="for `openrs curate`, not for `openrs up`"):
        load(path)
    with pytest.raises(RecipeError, match="for `openrs up`, not for `openrs curate`"):
        load_as(CurateRecipe, Path(__file__).parents[2] / "recipes" / "toy.toml")


def test_every_rule_has_its_reason_and_is_in_force():
    assert set(get_args(Rule)) == set(EVERY_RULE) == set(REASONS)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_keeps_the_six_benchmarks_out(path):
    recipe = load_any(path)
    assert isinstance(recipe, CurateRecipe)
    names = {each.name for each in recipe.curate.benchmarks}
    assert names == {"aime24", "aime25", "amc23", "math500", "minerva", "olympiadbench"}


def test_there_are_recipes_to_parse():
    assert {path.stem for path in RECIPES} >= {"curate_open_rs"}
