"""What `openrs eval` is asked for becomes a recipe, or one line that says what is wrong."""

import json
from pathlib import Path

import pytest

from openrs_core.errors import RecipeError, RunError
from openrs_core.record import inventory
from services.evaluator.benchmarks import BENCHMARKS
from services.evaluator.protocols import PROTOCOLS
from services.evaluator.request import Request, recipe_of
from services.evaluator.target import target

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"


def a_request(**changes) -> Request:
    return Request(**{"model": "toy", "runs": Path("runs"), "benchmarks": ["toy"], **changes})


def test_without_a_protocol_ours_is_used_and_named():
    recipe = recipe_of(a_request())
    assert (recipe.eval.protocol, recipe.eval.samples, recipe.eval.temperature) == ("ours", 32, 0.6)
    assert (recipe.sampler.max_tokens, recipe.eval.top_p) == (32_768, 0.95)


def test_the_papers_protocol_is_one_sample_with_its_seed_and_its_prompt():
    recipe = recipe_of(a_request(protocol="paper"))
    assert (recipe.eval.samples, recipe.eval.seed) == (1, 1234)
    assert recipe.data.user_prompt.endswith("\n\n{problem}")
    assert "$\\boxed{ANSWER}$" in recipe.data.user_prompt


def test_what_is_asked_for_wins_over_the_protocol_and_set_over_both():
    recipe = recipe_of(a_request(samples=4, max_tokens=100), ["eval.top_p=0.5"])
    assert (recipe.eval.samples, recipe.sampler.max_tokens, recipe.eval.top_p) == (4, 100, 0.5)


def test_a_protocol_is_left_as_it_is():
    before = json.dumps(PROTOCOLS)
    recipe_of(a_request(samples=4, max_tokens=100), ["data.max_prompt_tokens=7"])
    assert json.dumps(PROTOCOLS) == before


def test_a_training_recipe_lends_its_prompt_its_type_and_its_sampler():
    recipe = recipe_of(a_request(recipe=TOY, samples=4))
    assert (recipe.model.dtype, recipe.sampler.max_tokens) == ("float32", 96)
    assert (recipe.data.max_prompt_tokens, recipe.eval.protocol) == (64, "")
    assert recipe.scorer.weights == {"accuracy": 1.0}


def test_the_harness_is_scored_beside_when_its_verdict_is_to_count():
    assert recipe_of(a_request(scoring="harness")).scorer.weights == {"accuracy": 1, "harness": 0}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": None}, "MODEL: which model"),
        ({"benchmarks": ["aime23"]}, "--benchmarks aime23: no such benchmark; there are aime24,"),
        ({"recipe": TOY, "protocol": "paper"}, "--recipe and --protocol: both say"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(changes, said):
    with pytest.raises(RunError, match=said):
        recipe_of(a_request(**changes))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("eval.temperature=0", "eval.samples is 32, but at eval.temperature = 0 all are the same"),
        ("eval.scoring=harness", "give scorer.weights a key harness = 0"),
        ("sampler.max_sequences=2", "eval.group_size is 8, more than a sampler takes"),
        ("eval.sample=3", "did you mean 'samples'"),
        ('eval.sets=[{name="x",source="toy"},{name="x",source="toy"}]', "two sets are called 'x'"),
    ],
)
def test_a_value_that_cannot_be_is_refused(override, said):
    with pytest.raises(RecipeError, match=said):
        recipe_of(a_request(), [override])


def test_a_benchmark_is_a_file_where_a_directory_is_given(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n')
    recipe = recipe_of(a_request(benchmarks=["mine "], data_dir=tmp_path))
    [found] = recipe.eval.sets
    assert (found.name, found.source) == ("mine", str(tmp_path / "mine.jsonl"))
    with pytest.raises(RunError, match=r"there is no .*aime24.jsonl; in .* there are mine"):
        recipe_of(a_request(benchmarks=["aime24"], data_dir=tmp_path))


def test_every_benchmark_of_the_hub_makes_a_set():
    recipe = recipe_of(a_request(benchmarks=list(BENCHMARKS), model="owner/name"))
    assert [each.name for each in recipe.eval.sets] == list(BENCHMARKS)
    assert recipe.model.dtype == "bfloat16"


# --- which model ---------------------------------------------------------------------------------


def a_run(tmp_path: Path) -> Path:
    """A run with two checkpoints."""
    run = tmp_path / "runs" / "mine"
    for step in (30, 60):
        checkpoint = run / "checkpoints" / f"step-{step:06d}"
        (checkpoint / "model").mkdir(parents=True)
        (checkpoint / "model" / "config.json").write_text("{}")
        (checkpoint / "state.json").write_text(json.dumps({"version": step, "incarnation": 1}))
        inventory.write(checkpoint)
    (run / "recipe.json").write_text("{}")
    return run


def test_a_run_stands_for_its_newest_checkpoint_by_its_id_or_its_directory(tmp_path):
    run = a_run(tmp_path)
    newest = run / "checkpoints" / "step-000060"
    for text in ("mine", str(run), str(newest), str(newest / "model")):
        found = target(text, tmp_path / "runs")
        assert found.path == str(newest / "model")
        assert (found.name, found.recipe) == ("mine@step-000060", run / "recipe.json")


def test_a_models_directory_is_itself_and_what_is_no_directory_is_of_the_hub(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert target(str(tmp_path / "model"), tmp_path).path == str(tmp_path / "model")
    assert target("owner/name", tmp_path).path == "owner/name"


def test_a_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(RunError, match="holds no model"):
        target(str(tmp_path), tmp_path)
