"""Presets only set other keys, and contradict nobody in silence."""

from typing import get_args

import pytest

from openrs_core.errors import RecipeError
from openrs_core.recipe.file import load, load_any
from openrs_core.recipe.presets import PRESETS, Preset, filled
from openrs_core.recipe.training import TrainingRecipe
from tests.unit.test_recipe import RECIPES, TOY

every_preset = pytest.mark.parametrize("name", PRESETS)


def value_of(recipe: TrainingRecipe, dotted: str) -> object:
    found: object = recipe.resolved()
    for name in dotted.split("."):
        assert isinstance(found, dict)
        found = found[name]
    return found


def test_every_name_of_a_preset_has_its_keys() -> None:
    assert set(get_args(Preset)) == {"", *PRESETS}


@every_preset
def test_a_preset_is_the_recipe_that_says_the_same_in_full(name: str) -> None:
    in_full = load(TOY, [f"{key}={value}" for key, value in PRESETS[name].items()])
    short = load(TOY, [f"preset={name}"])
    assert short == in_full.model_copy(update={"preset": name})
    for key, value in PRESETS[name].items():
        assert value_of(short, key) == value


@every_preset
def test_a_preset_differs_from_the_defaults_and_from_every_other(name: str) -> None:
    def algorithm(*overrides: str) -> object:
        return load(TOY, overrides).algorithm

    ours = algorithm(f"preset={name}")
    assert ours != algorithm()
    assert [other for other in PRESETS if algorithm(f"preset={other}") == ours] == [name]


@every_preset
def test_a_resolved_recipe_with_a_preset_is_a_recipe(name: str, tmp_path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(load(TOY, [f"preset={name}"]).model_dump_json())
    assert load(path) == load(TOY, [f"preset={name}"])
    assert f'"preset":"{name}"' in path.read_text()


def test_what_a_preset_says_may_be_said_again() -> None:
    again = ["preset=dapo", "algorithm.clip_high=0.28", "algorithm.dual_clip=0"]
    assert load(TOY, again) == load(TOY, ["preset=dapo"])


def test_what_a_preset_leaves_open_may_be_chosen() -> None:
    recipe = load(TOY, ["preset=dapo", "algorithm.opsm_delta=0.5", "algorithm.truncated=masked"])
    assert (recipe.algorithm.opsm_delta, recipe.algorithm.truncated) == (0.5, "masked")


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_key_with_another_value_is_a_contradiction_that_names_both(where: str) -> None:
    overrides = ["preset=dapo", "algorithm.clip_high=0.2"]
    with pytest.raises(RecipeError) as error:
        load(TOY, overrides if where == "after" else overrides[::-1])
    assert str(error.value).endswith(
        "preset is 'dapo', which has algorithm.clip_high = 0.28, but algorithm.clip_high is 0.2; "
        "leave out one of them"
    )


def test_another_preset_than_that_of_a_resolved_recipe_is_a_contradiction(tmp_path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(load(TOY, ["preset=dapo"]).model_dump_json())
    with pytest.raises(
        RecipeError, match=r"preset is 'grpo', which has algorithm\.clip_high = 0\.2"
    ):
        load(path, ["preset=grpo"])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["preset=ppo"], "preset is 'ppo'"),
        (["preset=[1]"], "preset is [1]"),
        (["preset=dapo", "algorithm=3"], "algorithm is 3"),
        (["preset=dapo", "algorithm.clip=3"], "algorithm.clip is no key of a recipe"),
    ],
)
def test_what_is_no_preset_is_named_in_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load(TOY, overrides)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


TRAINING = [path for path in RECIPES if isinstance(load_any(path), TrainingRecipe)]


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_a_recipe_that_has_a_preset_repeats_none_of_its_keys(path) -> None:
    recipe = load(path)
    lines = [line.split("=")[0].strip() for line in path.read_text().splitlines()]
    repeated = {key.split(".")[1] for key in PRESETS.get(recipe.preset, {})} & set(lines)
    assert repeated == set()


def test_a_preset_adds_to_the_rewards_that_a_recipe_weighs() -> None:
    assert load(TOY, ["preset=dapo"]).scorer.weights == {
        "accuracy": 1.0, "format": 0.2, "overlong": 0.5,
    }  # fmt: skip
    with pytest.raises(RecipeError, match=r"scorer\.weights\.overlong = 0\.5, but .* is 1;"):
        load(TOY, ["preset=dapo", "scorer.weights.overlong=1"])
    with pytest.raises(RecipeError, match=r"scorer\.weights is 3"):
        load(TOY, ["preset=dapo", "scorer.weights=3"])


def test_filling_in_a_preset_leaves_the_table_it_was_given_as_it_was() -> None:
    table = {"preset": "dapo", "scorer": {"weights": {"format": 0.2}}}
    assert filled(table)["scorer"]["weights"]["overlong"] == 0.5
    assert table == {"preset": "dapo", "scorer": {"weights": {"format": 0.2}}}
