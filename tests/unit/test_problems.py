"""The data set: read, rendered, refused where it cannot be used, and its order."""

import json
from pathlib import Path

import pytest

from openrs_core.errors import RunError
from openrs_core.recipe.file import load
from services.issuing.problems import Problem, Problems, load_problems
from services.model.size import vocabulary_size

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"


class CharacterTokenizer:
    """One token per character; no template."""

    def apply_chat_template(self, conversation, **_options):
        return [ord(c) for message in conversation for c in message["content"]]


def some_problems(count: int) -> list[Problem]:
    return [Problem(f"p{number}", "1+6?", (1, 2), "7") for number in range(count)]


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
    assert loaded.at(0) == Problem("a", "1+1?", tuple(map(ord, "1+1?")), "2")


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
    assert loaded.at(0) == Problem("?", "1??", tuple(map(ord, "1??")), "?")


@pytest.mark.parametrize(
    ("config", "size"),
    [({"vocab_size": 64}, 64), ({"text_config": {"vocab_size": 64}}, 64), ({}, 2**31)],
)
def test_the_vocabulary_is_that_of_the_model(tmp_path, config, size):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert vocabulary_size(str(tmp_path)) == size
    assert vocabulary_size(str(tmp_path / "nowhere")) == 2**31
