"""The data set: read, rendered, refused where it cannot be used, and its order."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateError

from openrs_core.errors import RecipeError, RunError
from openrs_core.recipe.data import PromptSection
from openrs_core.recipe.file import load
from services.issuing.problems import Problem, Problems, load_data
from services.issuing.rendering import Renderer
from services.model.size import vocabulary_size

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"


class CharacterTokenizer:
    """One token per character; no template but what a prompt ends with."""

    def __init__(self, end: str = "") -> None:
        self.end = end
        self.rendered: list[str] = []

    def apply_chat_template(self, conversation, *, tokenize, **_options):
        text = "".join(message["content"] for message in conversation) + self.end
        if not tokenize:
            return text
        self.rendered.append(conversation[-1]["content"])
        return [ord(c) for c in text]


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
    alone = "data.held_out=''"
    return load(TOY, [f"data.train={path}", "model.path=./m", alone, *overrides])


def write(path: Path, *rows: object) -> Path:
    """A file of JSON lines; a text is a line as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def a_row(number: int, **changes) -> dict:
    return {"problem": f"{number}+1?", "answer": str(number + 1), **changes}


def train(path: Path, tokenizer=None, **data) -> Problems:
    return load_data(a_data_recipe(path, **data), tokenizer or CharacterTokenizer()).train


def test_problems_are_read_from_json_lines(tmp_path):
    path = write(tmp_path / "train.jsonl", {"id": "a", "problem": "1+1?", "answer": 2})
    assert train(path).at(0) == Problem("a", "1+1?", tuple(map(ord, "1+1?")), "2")


@pytest.mark.parametrize(
    ("end", "is_open"),
    [("<think>\n", True), ("<think>", True), ("<think>\n\n</think>\n\n", False), ("", False)],
)
def test_a_problem_says_whether_the_template_opens_a_thought(tmp_path, end, is_open):
    path = write(tmp_path / "train.jsonl", a_row(1, problem="What is <think>"))
    assert train(path, CharacterTokenizer(end)).at(0).thought_open is is_open


def test_a_row_without_an_id_is_called_by_its_number(tmp_path):
    path = write(tmp_path / "train.jsonl", a_row(0), a_row(1, id=None), a_row(2, id="x" * 2000))
    assert [problem.prompt_id for problem in train(path).first(9)] == ["1", "2", "3"]


def test_the_order_of_a_file_stays_what_it_was(tmp_path):
    """As it was when every problem was rendered at the start: a run may be resumed."""
    path = write(tmp_path / "train.jsonl", *map(a_row, range(9)))
    found = train(path)
    assert [found.at(p).text[0] for p in range(18)] == list(GOLDEN_ORDER)


GOLDEN_ORDER = "012463875143580267"


def test_a_problem_is_rendered_when_it_is_asked_for(tmp_path):
    """At the start only the one that may be too long, and two to know the template."""
    tokenizer = CharacterTokenizer()
    rows = [*map(a_row, range(100)), a_row(1, problem="x" * 290)]
    found = train(write(tmp_path / "t.jsonl", *rows), tokenizer, max_prompt_tokens=300)
    assert tokenizer.rendered == ["1", "", "x" * 290]
    found.at(7)
    assert len(tokenizer.rendered) == 4


def test_problems_that_are_too_long_are_left_out_before_the_first_are_chosen(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    rows = [a_row(0, problem="x" * 100), a_row(1), a_row(2, problem="y" * 65), a_row(3)]
    path = write(tmp_path / "held_out.jsonl", *rows)
    recipe = a_data_recipe(write(tmp_path / "t.jsonl", a_row(9)), held_out=path)
    found = load_data(recipe, CharacterTokenizer()).held_out["held_out"]
    assert [problem.text for problem in found.first(2)] == ["1+1?", "3+1?"]
    assert found.too_long == 2
    assert "2 problems after" in caplog.text
    assert "left out: 2 whose prompts have more tokens than data.max_prompt_tokens = 64" in (
        caplog.text
    )


@given(st.text(max_size=60), st.text(max_size=12), st.integers(80, 200))
def test_what_is_not_measured_is_never_too_long(problem, system, most):
    """The bound by bytes holds for a tokenizer whose every token is one byte: the worst."""

    class Bytes:
        def apply_chat_template(self, conversation, *, tokenize, **_options):
            text = "".join(f"<{m['role']}>{m['content']}" for m in conversation)
            return list(text.encode()) if tokenize else text

    for asked in ("{problem}", "{problem} Once more: {problem}"):
        data = PromptSection(system_prompt=system, user_prompt=asked, max_prompt_tokens=most)
        renderer = Renderer(data, Bytes())
        assert renderer.is_too_long(problem) == (len(renderer.tokens(problem)) > most)


def test_a_prompt_is_the_system_message_the_examples_and_the_problem_as_it_is_asked():
    class Turns:
        def apply_chat_template(self, conversation, *, tokenize, **_options):
            return (
                [1] if tokenize else "".join(f"<{m['role']}>{m['content']}" for m in conversation)
            )

    data = PromptSection(
        system_prompt="Be brief.",
        user_prompt="Solve: {problem}",
        examples=({"problem": "1+1?", "answer": "\\boxed{2}"},),
    )
    seen = Renderer(data, Turns())._rendered("{x}+1?", tokenize=False)
    assert seen == ("<system>Be brief.<user>Solve: 1+1?<assistant>\\boxed{2}<user>Solve: {x}+1?")


def test_a_prompt_that_asks_no_problem_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"user_prompt is 'Solve it.': it has no \{problem\}"):
        a_data_recipe(write(tmp_path / "t.jsonl", a_row(1)), user_prompt="'Solve it.'")


class SpecialWords:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def apply_chat_template(self, conversation, **_options):
        raise self.error


@pytest.mark.parametrize(
    ("tokenizer", "said"),
    [
        (SpecialWords(ValueError("chat_template is not set")), "renders no prompt .chat_template"),
        (SpecialWords(TemplateError("no system role")), "renders no prompt .no system role"),
    ],
)
def test_a_model_without_a_template_is_refused_before_any_row_is_read(tmp_path, tokenizer, said):
    with pytest.raises(RunError, match=said):
        train(tmp_path / "nowhere.jsonl", tokenizer)


def test_a_tokenizer_that_makes_nothing_of_a_problem_is_refused(tmp_path):
    class Nothing:
        def apply_chat_template(self, conversation, **_options):
            return []

    with pytest.raises(RunError, match="makes no token of a problem"):
        train(tmp_path / "nowhere.jsonl", Nothing())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"question": "1+1?"}',
            "no column 'problem' .there are: question; set data.problem_field",
        ),
        ('{"problem": "1+1?"}', "no column 'answer' .there are: problem; set data.answer_field"),
        ("not json", "no problem that can be used: 1: it is no JSON .row 1"),
        ("", "holds no problem that can be used; it is empty"),
        ('{"problem": "' + "x" * 99 + '", "answer": "1"}', "all 1 prompts have more tokens than"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, said):
    with pytest.raises(RunError, match=said) as error:
        train(write(tmp_path / "train.jsonl", content))
    assert "\n" not in str(error.value)


def test_one_bad_row_in_ten_thousand_is_named_and_the_rest_is_used(tmp_path, caplog):
    rows: list[object] = [a_row(n) for n in range(10_000)]
    rows[4710] = {"problem": "1+1?", "answer": None}
    path = write(tmp_path / "train.jsonl", *rows)
    assert len(train(path)) == 9_999
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.endswith("rows that cannot be used are left out: 1: it has no answer (row 4711)")
    with pytest.raises(RunError, match=r"row 4711: it has no answer; mend it, or leave such rows"):
        train(path, strict="true")


def test_an_answer_that_math_verify_cannot_read_leaves_its_rows_out(tmp_path, caplog):
    rows = [a_row(0), a_row(1, answer="}{"), a_row(2, answer="$$"), a_row(3, answer="$$")]
    assert len(train(write(tmp_path / "train.jsonl", *rows))) == 1
    assert "2: math-verify cannot read its answer (rows 3, 4)" in caplog.text
    assert "1: its answer has a brace too many or too few (row 2)" in caplog.text


def test_text_that_utf8_cannot_write_is_mended_when_it_is_read(tmp_path):
    row = '{"id": "\\ud800", "problem": "1\\udfff?", "answer": "x\\ud800"}'
    loaded = train(write(tmp_path / "train.jsonl", row))
    assert loaded.at(0) == Problem("?", "1??", tuple(map(ord, "1??")), "x?")


def test_problems_that_are_trained_on_and_held_out_are_refused(tmp_path):
    """But for white space and case, which do not make another problem."""
    ours = write(tmp_path / "train.jsonl", a_row(1), a_row(2, problem="How  many\nDogs?"), a_row(3))
    theirs = [a_row(7), a_row(8), a_row(9, problem=" how many dogs? "), a_row(3)]
    recipe = a_data_recipe(ours, held_out=write(tmp_path / "held_out.jsonl", *theirs))
    with pytest.raises(RunError, match=r"2 of its problems \(rows 3, 4\) are trained on too") as e:
        load_data(recipe, CharacterTokenizer())
    assert "rows 2, 3 of data.train" in str(e.value)
    write(tmp_path / "held_out.jsonl", *theirs[:2])
    assert len(load_data(recipe, CharacterTokenizer()).held_out["held_out"]) == 2


def test_the_toys_problems_are_read_too_and_share_none():
    found = load_data(load(TOY), CharacterTokenizer())
    assert (len(found.train), len(found.held_out["held_out"])) == (8192, 1024)


@pytest.mark.parametrize(
    ("config", "size"),
    [({"vocab_size": 64}, 64), ({"text_config": {"vocab_size": 64}}, 64), ({}, 2**31)],
)
def test_the_vocabulary_is_that_of_the_model(tmp_path, config, size):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert vocabulary_size(str(tmp_path)) == size
    assert vocabulary_size(str(tmp_path / "nowhere")) == 2**31
