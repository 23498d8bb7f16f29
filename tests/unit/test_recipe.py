"""Recipes: every mistake gets one line that names field, value and remedy."""

from pathlib import Path

import pytest

from openrs_core.errors import RecipeError
from openrs_core.recipe.file import differences, load, load_any, parse
from openrs_core.recipe.training import TrainingRecipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_parses(path):
    assert load_any(path).name == path.stem


def test_there_are_recipes_to_parse():
    assert {path.stem for path in RECIPES} >= {"toy", "open_rs3"}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("learner.lrr=1", "learner.lrr is no key of a recipe; did you mean 'lr'"),
        ("lerner.steps=1", "did you mean 'learner'"),
        ("scorer.cosine.unti=1", "did you mean 'unit'"),
        ("learner.lr=fast", "learner.lr is 'fast'"),
        ("learner.steps=0", "learner.steps is 0"),
        ("algorithm.loss=ppo", "'cispo', 'clip' or 'reinforce'"),
        ("learner.loss=clip", "learner.loss is no key of a recipe; its place is algorithm.loss"),
        ("learner.kl_weight=1", "its place is algorithm.kl_weight"),
        ("learner.max_tokens=1", "its place is sampler.max_tokens or evaluation.max_tokens"),
        ("sampler.max_sequences=4", "learner.group_size = 8"),
        ("sampler.max_tokens=100000", "learner.tokens_per_micro_batch is"),
        ("evaluation.samples=1000", "evaluation.samples is 1000, more than a sampler takes"),
        ("evaluation.best=aime", "evaluation.best is 'aime', which is no set of the evaluation"),
        (
            "evaluation.sets=[{name='a', smples=1}]",
            "evaluation.sets.0.smples is no key of a recipe",
        ),
        ("evaluation.sets=[{source='toy'}]", "evaluation.sets.0.name is missing; add it"),
        ("evaluation.sets=[{name='a'}, {name='a'}]", "two sets are called 'a'"),
        ("evaluation.sets=[{name='a', samples=1000}]", "evaluation.sets.0.samples is 1000, more"),
        ("learner.group_size=2000", "learner.group_size is 2000"),
        ("scorer.weights.format=1e9", "scorer.weights.format is"),
        ("algorithm.top_entropy_share=0", "algorithm.top_entropy_share is 0"),
        ("algorithm.kl_with_ratio=true", "algorithm: kl_with_ratio is set, but kl_weight is 0"),
        ("algorithm.reference_reset_every=9", "algorithm: reference_reset_every is set, but"),
        ("length.below=0.1", "length: below is set, but first is 0"),
        ("length.first=64", "length: first is 64 and it never grows"),
        ("curriculum.prefer=[0.5, 0.95]", "curriculum: prefer is [0.5, 0.95] and retire_at 0.9"),
        ("curriculum.prefer=[0.5, 0.5]", "curriculum: prefer is [0.5, 0.5]"),
        ("model.path=other/model", "the toy model knows only the toy task"),
        ("learner", "expected KEY=VALUE"),
        ("name.x=1", "'name' is a value, not a section"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(override, said):
    with pytest.raises(RecipeError) as error:
        load(TOY, [override])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("first", "at_steps", "said"),
    [
        (128, "[5]", "length.first is 128 tokens, but the sampler is started for 96"),
        (32, "[5, 9]", "length.at_steps lead to 128 tokens, but the sampler is started for 96"),
        (8, "[9, 5]", r"length: at_steps is \[9, 5\]: name each step once, in order"),
    ],
)
def test_a_length_schedule_that_the_sampler_cannot_take_is_refused(first, at_steps, said):
    with pytest.raises(RecipeError, match=said):
        load(TOY, [f"length.first={first}", f"length.at_steps={at_steps}"])


def test_a_ratio_that_the_loss_does_not_have_is_refused():
    pair = ["algorithm.loss=reinforce", "algorithm.ratio_level=sequence"]
    with pytest.raises(RecipeError, match="algorithm: ratio_level is 'sequence', but loss is"):
        load(TOY, pair)


def test_a_deadline_that_a_permitted_calculation_cannot_meet_is_refused():
    with pytest.raises(RecipeError, match="scorer: deadline_seconds is 5, but an answer may cost"):
        load(TOY, ["scorer.deadline_seconds=5"])


def test_a_missing_file_is_named():
    with pytest.raises(RecipeError, match=r"nowhere\.toml: No such file"):
        load("nowhere.toml")


def test_a_file_that_is_no_toml_is_named(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("steps = = 3")
    with pytest.raises(RecipeError, match=r"broken\.toml: cannot be read"):
        load(path)


def test_a_missing_key_is_named():
    with pytest.raises(RecipeError, match=r"model is missing"):
        parse({"name": "x", "data": {"train": "x"}, "learner": {}}, "here", TrainingRecipe)


def test_an_override_wins_and_needs_no_quotes():
    recipe = load(TOY, ["learner.lr=2e-6", "algorithm.loss=clip", "scorer.weights.accuracy=2"])
    assert (recipe.learner.lr, recipe.algorithm.loss) == (2e-6, "clip")
    assert recipe.scorer.weights["accuracy"] == 2.0


def test_equal_recipes_have_equal_fingerprints_and_others_do_not():
    assert load(TOY).fingerprint == load(TOY, ["seed=0"]).fingerprint
    assert load(TOY).fingerprint != load(TOY, ["seed=1"]).fingerprint


def test_differences_name_the_keys():
    here, there = load(TOY).resolved(), load(TOY, ["learner.lr=0.5"]).resolved()
    assert differences(here, there) == ["learner.lr: 0.0001 here, 0.5 there"]


def test_a_resolved_recipe_is_a_recipe(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(load(TOY).model_dump_json())
    assert load(path) == load(TOY)
