"""Several sets of held-out problems: what a recipe says of them, and where they are read."""

import json
from pathlib import Path

import pytest

from openrs_core.errors import RecipeError, RunError
from openrs_core.recipe.file import differences, load
from services.issuing.problems import load_data
from services.supervisor.drift import still
from tests.unit.test_problems import CharacterTokenizer, a_row, write

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"
TWO = "evaluation.sets=[{name='easy', samples=4}, {name='hard', problems=9, max_tokens=500}]"


def test_without_sets_there_is_one_made_of_the_sections_own_keys():
    recipe = load(TOY, ["evaluation.samples=3", "evaluation.temperature=0.6"])
    [only] = recipe.evaluated
    assert (only.name, only.source, only.samples, only.temperature) == ("held_out", "toy", 3, 0.6)
    assert recipe.best_set == "held_out"


def test_without_held_out_problems_there_is_none():
    recipe = load(TOY, ["data.held_out="])
    assert (recipe.evaluated, recipe.best_set) == ((), "")


def test_what_a_set_does_not_say_is_as_in_the_section():
    easy, hard = load(TOY, [TWO, "evaluation.samples=2", "evaluation.greedy=false"]).evaluated
    assert (easy.samples, easy.problems, easy.greedy) == (4, 256, False)
    assert (hard.samples, hard.problems, hard.greedy) == (2, 9, False)
    assert easy.source == hard.source == "toy"


def test_a_resolved_recipe_with_sets_is_the_same_recipe(tmp_path):
    recipe = load(TOY, [TWO, "evaluation.samples=2"])
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.resolved()))
    assert load(path) == recipe
    assert differences(load(path).resolved(), recipe.resolved()) == []


def test_the_sampler_is_started_for_the_longest_answer_and_the_learner_for_its_own():
    """An evaluation may ask for longer answers than the training does."""
    recipe = load(TOY, [TWO])
    assert recipe.longest_sequence == 64 + 500
    assert recipe.longest_trained == 64 + 96
    assert load(TOY, ["evaluation.max_tokens=1000"]).longest_sequence == 64 + 1000
    assert load(TOY).longest_sequence == 64 + 96


def test_the_best_policy_is_judged_by_the_set_that_is_named_or_the_first():
    assert load(TOY, [TWO]).best_set == "easy"
    assert load(TOY, [TWO, "evaluation.best=hard"]).best_set == "hard"


def test_a_set_without_problems_is_refused():
    with pytest.raises(RecipeError, match=r"sets\.0\.source is empty, and so is data\.held_out"):
        load(TOY, [TWO, "data.held_out="])


def test_a_set_of_what_is_trained_on_is_refused():
    own = ["model.path=./m", "data.held_out=", "data.train=a/b"]
    with pytest.raises(RecipeError, match=r"sets\.0\.source is 'a/b:train', which is trained on"):
        load(TOY, [*own, "evaluation.sets=[{name='x', source='a/b:train'}]"])
    assert load(TOY, [*own, "evaluation.sets=[{name='x', source='a/b:test'}]"]).evaluated


def test_drift_evaluates_nothing():
    assert load(TOY, [TWO, "evaluation.best=hard", *still(3)]).evaluated == ()


def a_recipe(directory: Path, *more: str):
    """Of ten problems to train on and two sets, of files of three and of two."""
    train = write(directory / "t.jsonl", *map(a_row, range(10)))
    write(directory / "a.jsonl", *map(a_row, range(20, 23)))
    write(directory / "b.jsonl", *map(a_row, range(30, 32)))
    sets = ", ".join(f"{{name='{n}', source='{directory}/{n}.jsonl'}}" for n in "ab")
    own = [f"data.train={train}", "model.path=./m", "data.held_out=", *more]
    return load(TOY, [*own, f"evaluation.sets=[{sets}]"])


def test_each_set_has_its_own_problems(tmp_path):
    found = load_data(a_recipe(tmp_path), CharacterTokenizer()).held_out
    assert {name: [p.text for p in each.first(9)] for name, each in found.items()} == {
        "a": ["20+1?", "21+1?", "22+1?"],
        "b": ["30+1?", "31+1?"],
    }


def test_sets_of_one_source_share_its_problems():
    tokenizer = CharacterTokenizer()
    found = load_data(load(TOY, [TWO, "data.max_prompt_tokens=500"]), tokenizer).held_out
    assert found["easy"] is found["hard"]


def test_no_set_shares_a_problem_with_the_training(tmp_path):
    recipe = a_recipe(tmp_path)
    write(tmp_path / "b.jsonl", a_row(30), a_row(4))
    with pytest.raises(RunError, match=r"evaluation\.sets\.1\.source is .*1 of its problems"):
        load_data(recipe, CharacterTokenizer())


def test_it_is_said_how_many_problems_were_too_long_to_be_asked(tmp_path, caplog):
    recipe = a_recipe(tmp_path, "data.max_prompt_tokens=8", "evaluation.problems=3")
    write(tmp_path / "a.jsonl", a_row(20), a_row(21, problem="how much is 21+1?"), a_row(22))
    found = load_data(recipe, CharacterTokenizer()).held_out["a"]
    assert (len(found), found.too_long) == (2, 1)
    assert (
        "the set 'a' is evaluated on 2 problems (3 were asked for): 1 of its source are left out, "
        "as their prompts have more tokens than data.max_prompt_tokens = 8"
    ) in caplog.messages
