"""The learner's small parts: evaluation, learning rate, problems, the view."""

import json
from pathlib import Path

import pytest

from openrs_core.errors import RunError
from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.recipe.learner import LearnerSection
from services.issuing.evaluation import Evaluation
from services.issuing.problems import Problem, Problems, load_problems
from services.learner.algorithm.schedule import learning_rate
from services.model.size import vocabulary_size
from services.supervisor.view import curve
from tests.builders import a_scored_group

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"


class CharacterTokenizer:
    """One token per character; no template."""

    def apply_chat_template(self, conversation, **_options):
        return [ord(c) for message in conversation for c in message["content"]]


def rules(**changes) -> LearnerSection:
    return LearnerSection(steps=110, groups_per_step=1, group_size=2, lr=1e-6, **changes)


def test_the_learning_rate_warms_up_and_stays():
    rates = [learning_rate(step, rules(warmup_steps=10)) for step in range(12)]
    assert rates[:3] == pytest.approx([1e-7, 2e-7, 3e-7])
    assert rates[9:] == pytest.approx([1e-6] * 3)


def test_the_cosine_ends_at_its_share_of_the_peak():
    """Open-RS: 50 steps up, then a cosine to a tenth; at step 200 of 500 it gave 7.75e-7."""
    open_rs = LearnerSection(
        steps=500, groups_per_step=1, group_size=2, lr=1e-6, warmup_steps=50, schedule="cosine"
    )
    assert learning_rate(200, open_rs) == pytest.approx(7.75e-7, rel=1e-2)
    assert learning_rate(500, open_rs) == pytest.approx(1e-7)


def some_problems(count: int) -> list[Problem]:
    return [Problem(f"p{number}", (1, 2), "7") for number in range(count)]


def test_every_epoch_asks_every_problem_once_in_its_own_order():
    problems = Problems(some_problems(20), seed=3)
    epochs = [[problems.at(20 * e + n).prompt_id for n in range(20)] for e in range(3)]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_depends_on_seed_and_position_alone():
    """Whatever was asked for before; another seed has another order."""
    asked, fresh, other = (Problems(some_problems(20), seed=seed) for seed in (3, 3, 4))
    for position in range(60, 0, -7):
        asked.at(position)
    order = [fresh.at(position).prompt_id for position in range(60)]
    assert [asked.at(position).prompt_id for position in range(60)] == order
    assert [other.at(position).prompt_id for position in range(60)] != order


def a_data_recipe(path: Path, **data):
    overrides = [f"data.{key}={value}" for key, value in data.items()]
    return load(TOY, [f"data.train={path}", "model.path=./m", *overrides])


def test_problems_are_read_from_json_lines(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"id": "a", "problem": "1+1?", "answer": 2}) + "\n")
    loaded = load_problems(a_data_recipe(path), "train", CharacterTokenizer())
    assert loaded.at(0) == Problem("a", tuple(map(ord, "1+1?")), "2")


def test_a_problem_that_is_too_long_is_left_out(tmp_path):
    path = tmp_path / "train.jsonl"
    rows = [{"problem": "x" * 100, "answer": "1"}, {"problem": "short", "answer": "2"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert len(load_problems(a_data_recipe(path), "train", CharacterTokenizer())) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"question": "1+1?"}', "no column 'problem' .it has question"),
        ("not json", "line 1 is no JSON"),
        ("", "holds no problem"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, said):
    path = tmp_path / "train.jsonl"
    path.write_text(content)
    with pytest.raises(RunError, match=said):
        load_problems(a_data_recipe(path), "train", CharacterTokenizer())


def test_what_a_message_could_not_hold_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"problem": "1+1?", "answer": "2" * 70_000}))
    with pytest.raises(RunError, match="row 0: answer of 70000 characters, at most 65536"):
        load_problems(a_data_recipe(path), "train", CharacterTokenizer())


def test_text_that_utf8_cannot_write_is_mended_when_it_is_read(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"id": "\\ud800", "problem": "1\\udfff?", "answer": "\\ud800"}')
    loaded = load_problems(a_data_recipe(path), "train", CharacterTokenizer())
    assert loaded.at(0) == Problem("?", tuple(map(ord, "1??")), "?")


@pytest.mark.parametrize(
    ("config", "size"),
    [({"vocab_size": 64}, 64), ({"text_config": {"vocab_size": 64}}, 64), ({}, 2**31)],
)
def test_the_vocabulary_is_that_of_the_model(tmp_path, config, size):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert vocabulary_size(str(tmp_path)) == size
    assert vocabulary_size(str(tmp_path / "nowhere")) == 2**31


def an_evaluation(problems: int = 3) -> Evaluation:
    return Evaluation(load(TOY), some_problems(problems))


def test_an_evaluation_is_the_mean_over_problems():
    evaluation = an_evaluation()
    evaluation.begin(Policy(1, 0), now=0.0)
    for number, prompt in enumerate(evaluation.next_prompts(alone=True)):
        group = a_scored_group(
            prompt, rewards=[float(number % 3 == 0)] * prompt.sampling.group_size
        )
        evaluation.arrive(group)
    assert [(r.mode, r.accuracy, r.problems) for r in evaluation.finished()] == [
        ("sampled", pytest.approx(1 / 3), 3),
        ("greedy", pytest.approx(1 / 3), 3),
    ]
    assert not evaluation.pending


def test_an_evaluation_leaves_room_for_training():
    """Beside training, no more than a step's worth of it is in flight."""
    evaluation = an_evaluation(problems=500)
    evaluation.begin(Policy(1, 20), now=0.0)
    recipe = load(TOY).learner
    most = recipe.groups_per_step * recipe.group_size
    first = list(evaluation.next_prompts(alone=False))
    assert len(first) == most
    assert list(evaluation.next_prompts(alone=False)) == []
    evaluation.arrive(a_scored_group(first[0], rewards=[1.0]))
    assert len(list(evaluation.next_prompts(alone=False))) == 1


def test_a_curve_fits_its_place_whatever_its_length():
    assert curve([0.0, 0.5, 1.0]) == "▁▄█"
    assert len(curve([float(n) for n in range(1000)])) <= 40
    assert curve([3.0, 3.0]) == "▁▁"
