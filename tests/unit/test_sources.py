"""Reading rows: every form, numbered as its reader would number them, faults row by row."""

import gzip
import json
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from openrs_core.errors import RecipeError, RunError
from openrs_core.recipe.data import Source, source
from openrs_core.recipe.file import load
from openrs_core.recipe.training import TrainingRecipe
from services.issuing.rows import LeftOut, Row, listed, usable
from services.issuing.sources import Named, Unreadable, read_rows
from services.toy.task import Split

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"
GOOD = '{"problem": "1+1?", "answer": "2"}'


def a_recipe(*overrides: str):
    return load(TOY, ["model.path=./m", "data.held_out=''", "data.train=x.jsonl", *overrides])


def read(path: Path | str, split="train", **data):
    recipe = a_recipe(*(f"data.{key}={value}" for key, value in data.items()))
    return list(read_rows(trained_on(path, recipe, split), recipe))


def trained_on(path: Path | str, recipe: TrainingRecipe, split: Split = "train") -> Named:
    """The source as the recipe's data.train or data.held_out would name it."""
    return Named(key=f"data.{split}", text=str(path), split=split, data=recipe.data)


def used(path: Path | str, **data) -> tuple[list[Row], str]:
    """The rows that are used, and what is said of the others."""
    recipe = a_recipe(*(f"data.{key}={value}" for key, value in data.items()))
    left_out = LeftOut("here")
    rows = usable(read_rows(trained_on(path, recipe), recipe), recipe.data, left_out)
    return list(rows), str(left_out)


# --- where from ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("toy", Source("toy", "toy")),
        ("a/b.jsonl", Source("file", "a/b.jsonl")),
        ("b.json.gz", Source("file", "b.json.gz")),
        ("/x/b.parquet", Source("file", "/x/b.parquet")),
        ("owner/name", Source("hub", "owner/name")),
        ("owner/name:test", Source("hub", "owner/name", "", "test")),
        ("openai/gsm8k/main:test", Source("hub", "openai/gsm8k", "main", "test")),
        ("a/b:x[:5]+y[10%:]", Source("hub", "a/b", "", "x[:5]+y[10%:]")),
    ],
)
def test_a_source_is_known_by_its_form(text, found):
    assert source(text) == found


@pytest.mark.parametrize(
    "text", ["", "name", "problems.jsnl", "./a/b", "../a", "a/b:", "a b/c", "a/b:x[1", "a/b:x+"]
)
def test_another_form_is_refused_with_the_recipe(text):
    with pytest.raises(RecipeError, match=r"data\.train is .*: give a file \(\.jsonl, "):
        a_recipe(f"data.train={text!r}")


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("a.jsonl", "a.jsonl"),
        ("a/b", "a/b:train"),
        ("a/b:train", "a/b:train"),
        ("a/b/c:x", "a/b/c:x"),
    ],
)
def test_what_is_trained_on_is_not_held_out(train, held_out):
    with pytest.raises(RecipeError, match="which is trained on"):
        a_recipe(f"data.train={train}", f"data.held_out={held_out}")


def test_another_split_and_another_data_sets_train_may_be_held_out():
    for held_out in ("a/b", "a/b:test", "c/d:train", "a/b/other:train"):
        a_recipe("data.train=a/b", f"data.held_out={held_out}")


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        f"{GOOD}\n{GOOD}\n",
        f"{GOOD}\r\n{GOOD}",
        f"\ufeff{GOOD}\n{GOOD}\n",
        f"[{GOOD}, {GOOD}]",
        f"\ufeff [\n{GOOD},\n{GOOD}\n]\n",
    ],
)
def test_lines_and_arrays_are_read_whoever_wrote_them(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content.encode())
    rows, left_out = used(path)
    assert [(row.number, row.problem, row.answer) for row in rows] == [
        (1, "1+1?", "2"),
        (2, "1+1?", "2"),
    ]
    assert left_out == ""


def test_packed_lines_are_read(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(f"{GOOD}\n{GOOD}\n".encode()))
    assert len(read(path)) == 2


def test_blank_lines_are_passed_over_and_count(tmp_path):
    """So that a row's number is the line an editor shows."""
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n\n  \nnull\n")
    assert read(path) == [
        (1, {"problem": "1+1?", "answer": "2"}),
        (4, Unreadable("it is no JSON object")),
    ]


def test_a_text_may_hold_what_elsewhere_ends_a_line(tmp_path):
    """U+2028 and U+0085 stand in JSON as they are."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"problem": "a\u2028b\u0085c", "answer": "2"}\n', encoding="utf-8")
    assert read(path)[0][1]["problem"] == "a\u2028b\u0085c"


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=5), st.booleans())
def test_what_was_written_is_read(tmp_path_factory, texts, is_ascii):
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    rows = [{"problem": problem, "answer": answer} for problem, answer in texts]
    lines = [json.dumps(row, ensure_ascii=is_ascii) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8", newline="")
    assert read(path) == list(enumerate(rows, start=1))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("5", "it is no JSON object"),
        ('"problem answer"', "it is no JSON object"),
        ('{"problem": "é", "answer": "1"}'.encode("latin-1"), "it is not in UTF-8"),
        ('{"problem": null, "answer": "1"}', "it has no problem"),
        ('{"problem": "x", "answer": null}', "it has no answer"),
        ('{"problem": "x", "answer": NaN}', "it has no answer"),
        ('{"problem": "x", "answer": " "}', "it has no answer"),
        ('{"problem": "x", "answer": ["3"]}', "its answer is no text"),
        ('{"problem": {"a": 1}, "answer": "3"}', "its problem is no text"),
        ('{"problem": "x", "answer": true}', "its answer is no text"),
        ('{"problem": "x", "answer": "\\\\frac{1}{2"}', "its answer has a brace too many"),
        ('{"problem": "x", "answer": "2}+{3"}', "its answer has a brace too many"),
        ('{"problem": "x", "answer": "so \\\\boxed{2"}', "it has no answer"),
        ('{"problem": "x", "answer": "' + "a" * 2001 + '"}', "its answer has more than 2000"),
        ('{"problem": "' + "a" * (2**20 + 1) + '", "answer": "a"}', "its problem has more than"),
        ('{"answer": "1"}', "there is no column 'problem' (there are: answer; set data.prob"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_with_its_number(tmp_path, line, said):
    path = tmp_path / "a.jsonl"
    encoded = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(b"\n".join([GOOD.encode(), encoded, GOOD.encode()]))
    rows, left_out = used(path)
    assert [row.number for row in rows] == [1, 3]
    assert left_out.startswith(f"1: {said}")
    assert left_out.endswith("(row 2)")


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ('"7"', "7"),
        ("2.50", "2.50"),
        ("7" * 1900, "7" * 1900),
        ('" 7 "', "7"),
        ('"Adding, $3+4=7$, so \\\\boxed{3}, no: $\\\\boxed{\\\\frac{1}{2}}$."', "\\frac{1}{2}"),
        ('"\\\\boxed 5"', "5"),
    ],
)
def test_an_answer_is_as_it_is_written_or_what_its_solution_boxes_last(tmp_path, written, answer):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"problem": "x", "answer": {written}}}')
    [row], _ = used(path)
    assert row.answer == answer


def test_columns_are_those_the_recipe_names(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "x", "solution": "\\\\boxed{3}", "answer": "no"}')
    [row], _ = used(path, problem_field="question", answer_field="solution")
    assert (row.problem, row.answer) == ("x", "3")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", None, "No such file"),
        ("a.json", b'[{"problem": "x"}', "begins as one JSON array and is none"),
        ("a.json", b"[" * 100_000, "begins as one JSON array and is none"),
        ("a.json", b"[\xff]", "cannot be read .*codec"),
        ("a.jsonl.gz", b"plain", "cannot be read .Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b"x" * 1000, mtime=0)[:-9], "cannot be read"),
        ("a.parquet", b"plain", "it is no Parquet file"),
        ("a.parquet", None, "No such file"),
    ],
)
def test_a_damaged_file_costs_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=said) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_path_that_is_none_costs_one_line(tmp_path):
    (tmp_path / "a.jsonl").mkdir()
    for path, said in [
        (tmp_path / "a.jsonl", "Is a directory"),
        ("~nobody/a.jsonl", "No such file"),
        ("\0.jsonl", "embedded null byte"),
    ]:
        with pytest.raises(RunError, match=said):
            list(read_rows(trained_on(path, a_recipe()), a_recipe()))


# --- tables --------------------------------------------------------------------------------------


def test_parquet_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {"problem": ["a", None, "c"], "answer": [1, 2, 3], "long": ["x"] * 3}
    parquet.write_table(pyarrow.table(columns), path)
    rows, left_out = used(path)
    assert rows == [Row(1, "1", "a", "1"), Row(3, "3", "c", "3")]
    assert left_out == "1: it has no problem (row 2)"


def test_a_table_without_a_column_says_which_it_has(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"question": ["a"], "answer": ["1"]}), path)
    assert "no column 'problem' (there are: question, answer; set" in used(path)[1]


@pytest.fixture
def a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`owner/name` with a split per file: a directory is what the hub's reader looks for first."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    return tmp_path / "owner" / "name"


def write_split(hub: Path, split: str, answer: str) -> None:
    (hub / f"{split}.jsonl").write_text(json.dumps({"problem": split, "answer": answer}) + "\n")


def test_a_data_set_is_trained_on_its_train_and_held_out_are_test_then_validation(a_hub):
    write_split(a_hub, "train", "1")
    write_split(a_hub, "validation", "2")
    assert read("owner/name")[0][1]["problem"] == "train"
    assert read("owner/name", split="held_out")[0][1]["problem"] == "validation"
    write_split(a_hub, "test", "3")
    assert read("owner/name", split="held_out") == [(1, {"problem": "test", "answer": "3"})]
    assert read("owner/name:validation")[0][1]["problem"] == "validation"


def test_train_is_never_held_out_unasked(a_hub):
    write_split(a_hub, "train", "1")
    said = "has no split 'test' or 'validation', but 'train'; name one: owner/name:split"
    with pytest.raises(RunError, match=said):
        read("owner/name", split="held_out")
    assert len(read("owner/name:train", split="held_out")) == 1


def test_slices_of_a_split_are_apart(a_hub):
    rows = "".join(f'{{"problem": "{n}?", "answer": "{n}"}}\n' for n in range(6))
    (a_hub / "train.jsonl").write_text(rows)

    def answers(source: str) -> list[str]:
        return [columns["answer"] for _, columns in read(source)]

    assert answers("owner/name:train[:2]+train[4:5]") == ["0", "1", "4"]
    assert answers("owner/name:train[2:4]+train[5:]") == ["2", "3", "5"]
    with pytest.raises(RunError, match=r"no split 'test', but 'train'"):
        read("owner/name:test[:2]")


def test_a_data_set_that_is_not_there_costs_one_line(a_hub, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(RunError, match="neither the hub nor its cache gives") as error:
        read("nobody/nothing")
    assert "\n" not in str(error.value)


# --- what is said --------------------------------------------------------------------------------


def test_the_first_rows_are_named_and_the_others_counted():
    assert listed([7]) == "row 7"
    assert listed([3, 17, 20]) == "rows 3, 17, 20"
    assert listed(list(range(1, 9))) == "rows 1, 2, 3 and 5 more"


def test_faults_are_counted_the_commonest_first():
    left_out = LeftOut("here")
    for number in range(1, 8):
        left_out.add(number, "it is odd" if number % 2 else "it is even")
    assert str(left_out) == "4: it is odd (rows 1, 3, 5 and 1 more); 3: it is even (rows 2, 4, 6)"
    assert len(left_out) == 7
