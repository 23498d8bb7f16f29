"""What an evaluation leaves on disk, and what is refused rather than counted."""

import json
from dataclasses import replace

import pytest

from openrs_core.errors import ProtocolError, RunError
from services.evaluator import finish
from services.evaluator.finish import REPORT, SAMPLES
from services.evaluator.result import RESULT, Model, Protocol, read_result
from services.evaluator.samples import Sample, read_samples
from services.evaluator.summary import SetRows
from tests.evaluations import MODEL, PROTOCOL, VERSIONS, a_row, a_set, written


def test_the_same_samples_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, a_set([2, 0, 1, 4]), a_set([1, 1], name="other"))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["accuracy.png", "curves.png", RESULT, REPORT, SAMPLES]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_result_is_read_as_it_was_written_and_says_what_its_samples_do(tmp_path):
    result = written(tmp_path, a_set([2, 0, 1, 4]))
    assert read_result(tmp_path) == read_result(tmp_path / RESULT) == result
    (found,) = result.sets
    assert found.accuracy.value == pytest.approx(7 / 16)
    assert found.pass_at["4"] == 0.75
    assert found.means() == {"toy/0": 0.5, "toy/1": 0.0, "toy/2": 0.25, "toy/3": 1.0}
    assert result.average == found.accuracy


def test_the_keys_stand_in_the_order_of_the_format(tmp_path):
    written(tmp_path, a_set([2, 0]))
    table = json.loads((tmp_path / RESULT).read_text())
    assert list(table) == ["format", "model", "protocol", "sets", "average", "versions"]
    assert list(table["sets"][0]) == [
        "name", "digest", "problems", "samples", "accuracy", "pass_at", "maj_at", "truncated",
        "unverified", "failed", "tokens", "disagreements", "by_problem",
    ]  # fmt: skip
    assert list(table["sets"][0]["accuracy"]) == ["value", "standard_error", "low", "high"]


def test_samples_are_read_as_they_were_written(tmp_path):
    rows = [a_row(sample=0, answer=None, seed=None), a_row(sample=1, harness_correct=True)]
    asked = SetRows(name="toy", digest="d", problems=["toy/0"], samples=2, rows=rows)
    finish.write(tmp_path, MODEL, PROTOCOL, [asked], VERSIONS)
    assert list(read_samples(tmp_path / SAMPLES)) == rows


def test_wrong_answers_vote_by_their_text_and_right_ones_as_one(tmp_path):
    answers = ["0.5", "1/2", "7", "7", " 7 ", None]
    rows = [a_row(sample=n, answer=a, correct=n < 2) for n, a in enumerate(answers)]
    asked = SetRows(name="toy", digest="d", problems=["toy/0"], samples=6, rows=rows)
    (found,) = finish.write(tmp_path, MODEL, PROTOCOL, [asked], VERSIONS).sets
    assert found.maj_at["4"] == pytest.approx((3 * 0.5 + 3) / 15, abs=1e-6)


def test_the_scoring_of_the_protocol_is_the_one_that_counts(tmp_path):
    rows = [a_row(sample=n, correct=False, harness_correct=n < 3) for n in range(4)]
    asked = SetRows(name="toy", digest="d", problems=["toy/0"], samples=4, rows=rows)
    harness = PROTOCOL.model_copy(update={"scoring": "harness"})
    (theirs,) = finish.write(tmp_path, MODEL, harness, [asked], VERSIONS).sets
    (ours,) = finish.write(tmp_path, MODEL, PROTOCOL, [asked], VERSIONS).sets
    assert (theirs.accuracy.value, ours.accuracy.value) == (0.75, 0.0)
    assert theirs.disagreements == ours.disagreements == 3


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_a_missing_sample_is_refused_and_named(tmp_path, gone):
    asked = a_set([2])
    rows = [row for row in asked.rows if row.sample != gone]
    with pytest.raises(RunError, match=f"toy/0 lacks sample {gone} of 4"):
        written(tmp_path, replace(asked, rows=rows))
    assert not (tmp_path / RESULT).exists()


def test_a_missing_problem_is_refused_and_named(tmp_path):
    asked = a_set([2, 1])
    rows = [row for row in asked.rows if row.problem_id != "toy/0"]
    with pytest.raises(RunError, match="toy/0 lacks sample 0"):
        written(tmp_path, replace(asked, rows=rows))


def test_a_sample_that_was_not_asked_for_is_a_fault_of_ours(tmp_path):
    asked = a_set([2])
    with pytest.raises(ProtocolError, match="toy/0 sample 4"):
        written(tmp_path, replace(asked, rows=[*asked.rows, a_row(sample=4)]))


def test_a_problem_that_could_not_be_sampled_is_refused_unless_it_may_be_left_out(tmp_path):
    asked = a_set([4, 1])
    rows = [row for row in asked.rows if row.problem_id == "toy/0"]
    asked = replace(asked, rows=rows, failed=frozenset({"toy/1"}))
    with pytest.raises(RunError, match=r"1 of 2 problems .* toy/1; .* --allow-failed"):
        written(tmp_path, asked)
    (found,) = finish.write(tmp_path, MODEL, PROTOCOL, [asked], VERSIONS, allow_failed=True).sets
    assert (found.problems, found.failed, found.accuracy.value) == (1, 1, 1.0)
    assert "1 of 2 problems could not be sampled" in (tmp_path / REPORT).read_text()


def test_unverified_samples_are_counted_and_not_correct(tmp_path):
    rows = [a_row(sample=n, correct=False, verdict="error") for n in range(3)]
    asked = SetRows(
        name="toy", digest="d", problems=["toy/0"], samples=4, rows=[*rows, a_row(sample=3)]
    )
    (found,) = finish.write(tmp_path, MODEL, PROTOCOL, [asked], VERSIONS).sets
    assert (found.unverified, found.accuracy.value) == (0.75, 0.25)


def altered(path, change):
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def drop_a_problem(table):
    del table["sets"][0]["by_problem"][0]


def drop_a_sample(table):
    table["sets"][0]["by_problem"][0]["samples"] = 3


def raise_the_accuracy(table):
    table["sets"][0]["accuracy"]["value"] = 0.9


def add_a_key(table):
    table["model"]["colour"] = "green"


def say_a_problem_twice(table):
    table["sets"][0]["by_problem"][0]["id"] = "toy/1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_a_problem, "1 of 2 problems"),
        (drop_a_sample, "toy/0: 3 of 4 samples"),
        (raise_the_accuracy, "accuracy 0.9, its problems say 0.375"),
        (add_a_key, "model.colour: Extra inputs"),
        (say_a_problem_twice, "stands there twice"),
        (lambda table: table.update(format=2), "format 2, this openrs reads 1"),
        (lambda table: table.pop("format"), "no result of `openrs eval`"),
        (lambda table: table["sets"].clear(), "sets: "),
    ],
)
def test_a_result_that_is_not_as_it_was_written_is_refused_in_one_line(tmp_path, change, said):
    written(tmp_path, a_set([2, 1]))
    altered(tmp_path / RESULT, change)
    with pytest.raises(RunError, match=said) as refused:
        read_result(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_result_cut_short_is_refused(tmp_path):
    written(tmp_path, a_set([2, 1]))
    text = (tmp_path / RESULT).read_text()
    (tmp_path / RESULT).write_text(text[: len(text) // 2])
    with pytest.raises(RunError, match="cut short"):
        read_result(tmp_path)


def test_an_evaluation_that_is_not_finished_has_no_result(tmp_path):
    with pytest.raises(RunError, match="once the evaluation is finished"):
        read_result(tmp_path)


def test_samples_cut_short_are_refused(tmp_path):
    written(tmp_path, a_set([2, 1]))
    whole = (tmp_path / SAMPLES).read_bytes()
    (tmp_path / SAMPLES).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="cannot be read"):
        list(read_samples(tmp_path / SAMPLES))


def test_the_report_says_what_a_reader_needs(tmp_path):
    written(tmp_path, a_set([2, 0, 1, 4]))
    text = (tmp_path / REPORT).read_text()
    for said in ("| toy | 4 x 4 | 43.8 [", "95 % interval", "| temperature | 0.6 |", "vllm 0.32.0"):
        assert said in text


def test_the_columns_are_those_that_were_agreed():
    assert list(Sample.__dataclass_fields__) == [
        "set", "problem_id", "problem", "reference", "sample", "seed", "correct",
        "harness_correct", "verdict", "answer", "tokens", "truncated", "text",
    ]  # fmt: skip
    assert list(Model.model_fields) == ["name", "digest", "dtype"]
    assert list(Protocol.model_fields) == [
        "preset", "samples", "temperature", "top_p", "max_tokens", "seed", "system_prompt",
        "user_prompt", "examples", "max_prompt_tokens", "scoring",
    ]  # fmt: skip
