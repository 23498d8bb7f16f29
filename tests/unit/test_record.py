"""A run's record: what is written is what is read, and what became void is dropped."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.errors import RecordError, RunError
from openrs_core.record.lines import (
    EvaluationLine,
    GroupOrigin,
    LifeLine,
    Scored,
    SkippedLine,
    Spent,
    StepLine,
    UnevaluatedLine,
    WeightsLine,
    read,
    written,
)
from openrs_core.record.reader import RecordReader, read_record
from openrs_core.record.writer import RecordWriter
from openrs_core.wire.messages import Form, Verdict
from tests.builders import a_step, an_evaluation

NUMBERS = st.integers(0, 2**53 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POLICIES = st.tuples(NUMBERS, NUMBERS)


def lines_of(kind: type, **fields: st.SearchStrategy) -> st.SearchStrategy:
    """Any line of a kind; fields that are not named follow from their types."""
    plain = {int: NUMBERS, float: FINITE, str: st.text(st.characters(codec="utf-8"))}
    known = {
        "groups": st.lists(ORIGINS, max_size=3).map(tuple),
        "components": st.dictionaries(plain[str], FINITE, max_size=3),
        "seconds": st.builds(Spent, collect=FINITE, train=FINITE, publish=FINITE),
        "scored": SCORED, "loss": FINITE, "grad_norm": FINITE, **fields,
    }  # fmt: skip
    types = {name: kind.__annotations__[name] for name in kind.__annotations__ if name != "kind"}
    chosen = {name: known.get(name, plain.get(of)) for name, of in types.items()}
    return st.builds(kind, **chosen)


MAYBE = st.none() | FINITE
SCORED = st.builds(
    Scored, groups=st.dictionaries(st.sampled_from(["signal", "failed"]), NUMBERS),
    completions=st.dictionaries(st.sampled_from(Verdict.__args__), NUMBERS), reward=MAYBE,
    components=st.dictionaries(st.text(st.characters(codec="utf-8")), FINITE, max_size=2),
    accuracy=MAYBE, completion_tokens=MAYBE, truncated=MAYBE, language=MAYBE,
)  # fmt: skip
ORIGINS = st.builds(
    GroupOrigin, group_id=st.text(st.characters(codec="utf-8")), position=NUMBERS,
    oldest=POLICIES, newest=POLICIES, staleness=NUMBERS,
)  # fmt: skip
ANY_LINE = st.one_of(
    lines_of(LifeLine, problems=st.none() | NUMBERS),
    lines_of(StepLine),
    lines_of(SkippedLine, loss=st.none() | FINITE, grad_norm=st.none() | FINITE),
    lines_of(EvaluationLine, mode=st.sampled_from(["sampled", "greedy"]), standard_error=MAYBE),
    lines_of(UnevaluatedLine),
    lines_of(WeightsLine, form=st.sampled_from(Form.__args__), seconds=FINITE),
)


@given(ANY_LINE)
def test_what_is_written_is_what_is_read(line):
    text = written(line)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert read(text) == line


KEYS = {
    LifeLine: "kind time incarnation version problems too_long",
    StepLine: "kind time version incarnation reward components accuracy completion_tokens "
    "truncated staleness_max staleness_mean completions lr loss grad_norm entropy mismatch_kl "
    "log_ratio_mean log_ratio_max ratio_max clipped clipped_positive clipped_negative outside ess "
    "tokens scored seconds groups",
    SkippedLine: "kind time version incarnation reason loss grad_norm groups",
    EvaluationLine: "kind time version incarnation set mode accuracy standard_error truncated "
    "unverified failed tokens problems too_long completions temperature top_p max_tokens",
    UnevaluatedLine: "kind time version reason",
    WeightsLine: "kind time version incarnation form size whole_size values seconds",
}
"""As docs/operations.md lists them."""


@given(ANY_LINE)
def test_a_line_has_the_keys_that_other_programs_look_for(line):
    """Dashboards and notebooks of users read the file: a key keeps its name."""
    assert list(json.loads(written(line))) == KEYS[type(line)].split()


def test_a_steps_groups_and_seconds_have_the_keys_that_other_programs_look_for():
    origin = GroupOrigin(group_id="1.1", position=0, oldest=(1, 0), newest=(1, 1), staleness=1)
    line = json.loads(written(replace(a_step(7), groups=(origin,))))
    assert list(line["seconds"]) == ["collect", "train", "publish"]
    assert list(line["groups"][0]) == ["group_id", "position", "oldest", "newest", "staleness"]


def test_a_line_of_a_later_openrs_may_say_more():
    more = {**asdict(a_step(3)), "effective_sample_size": 0.9}
    assert read(json.dumps(more)).version == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Invalid JSON"),
        ('{"kind": "dance"}', "does not match any of the expected tags"),
        ('{"kind": "life", "version": 1, "time": 0}', "life.incarnation: Field required"),
        ('{"kind": "life", "version": "x", "incarnation": 1}', "life.version"),
    ],
)
def test_what_is_no_line_of_a_record_is_refused(text, said):
    with pytest.raises(RecordError, match=said):
        read(text)


def test_a_reader_takes_only_whole_lines(tmp_path):
    first, second = written(a_step(1)), written(a_step(2))
    path, reader = tmp_path / "metrics.jsonl", RecordReader(tmp_path)
    assert reader.follow() == []
    path.write_text(first + second[:10])
    assert [line.version for line in reader.follow()] == [1]
    with path.open("a") as file:
        file.write(second[10:])
    assert [line.version for line in reader.follow()] == [2]
    assert reader.follow() == []


def test_a_line_that_its_writer_did_not_finish_is_cut_off_when_the_next_life_begins(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(written(a_step(1)) + '{"kind": "st')
    reader = RecordReader(tmp_path)
    reader.follow()
    RecordWriter(tmp_path).add(LifeLine(incarnation=2, version=1))
    assert [line.kind for line in reader.follow()] == ["life"]
    assert [line.kind for line in RecordReader(tmp_path).follow()] == ["step", "life"]
    assert path.read_text().count("\n") == 2


def test_steps_that_a_later_life_made_void_are_dropped(tmp_path):
    """The first life came to step 4; the second began again from the checkpoint of step 2."""
    writer = RecordWriter(tmp_path)
    for line in (LifeLine(incarnation=1, version=0), *map(a_step, (1, 2, 3, 4)),
                 LifeLine(incarnation=2, version=2), a_step(3, incarnation=2)):  # fmt: skip
        writer.add(line)
    record = read_record(tmp_path)
    assert [(step.incarnation, step.version) for step in record.steps] == [(1, 1), (1, 2), (2, 3)]
    assert [life.version for life in record.lives] == [0, 2]


def test_evaluations_of_policies_that_a_later_life_made_void_are_dropped(tmp_path):
    """Else the present policy of that version would pass for evaluated."""
    record = RecordWriter(tmp_path)
    for line in (LifeLine(incarnation=1, version=0), *map(an_evaluation, (0, 20, 40))):
        record.add(line)
    record.add(LifeLine(incarnation=2, version=20))
    assert [line.version for line in read_record(tmp_path).evaluations] == [0, 20]
    record.add(an_evaluation(40))
    assert [line.version for line in read_record(tmp_path).evaluations] == [0, 20, 40]


def test_what_was_passed_over_is_void_with_its_version(tmp_path):
    """The present policy of that version may be evaluated after all."""
    record = RecordWriter(tmp_path)
    for version in (10, 30):
        record.add(UnevaluatedLine(version=version, reason="it was too early"))
    record.add(LifeLine(incarnation=2, version=20))
    assert [line.version for line in read_record(tmp_path).unevaluated] == [10]


def test_a_reader_that_follows_drops_them_as_well(tmp_path):
    writer, reader = RecordWriter(tmp_path), RecordReader(tmp_path)
    for version in (1, 2, 3):
        writer.add(a_step(version))
    reader.follow()
    writer.add(LifeLine(incarnation=2, version=1))
    reader.follow()
    assert [step.version for step in reader.steps] == [1]


def test_a_record_that_was_altered_is_named_with_the_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(written(a_step(1)) + "{}\n")
    with pytest.raises(RunError, match=f"record {path} line 2 cannot be read"):
        read_record(tmp_path)
