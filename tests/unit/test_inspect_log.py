"""A finished evaluation can be read by Inspect, sample by sample."""

import pytest

from openrs_core.errors import RunError
from services.evaluator import inspect_log
from services.evaluator.result import read_result
from services.evaluator.samples import read_samples
from tests.evaluations import a_set, written


def test_without_inspect_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(inspect_log, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'openrs\[inspect\]'"):
        inspect_log.refuse_missing()


def test_every_sample_and_the_accuracy_are_in_the_log(tmp_path):
    log = pytest.importorskip("inspect_ai.log", reason="the extra `inspect` is not installed")
    written(tmp_path, a_set([1, 4, 0]), a_set([2, 2], name="other"))
    made, result = inspect_log.write_logs(tmp_path), read_result(tmp_path)
    assert [path.stem for path in made] == [each.name for each in result.sets]
    rows = list(read_samples(tmp_path / "samples.parquet"))
    for path, found in zip(made, result.sets, strict=True):
        read = log.read_eval_log(str(path))
        mine = [row for row in rows if row.set == found.name]
        there = {(each.id, each.epoch): each.scores["openrs"].value for each in read.samples}
        assert there == {(r.problem_id, r.sample + 1): "C" if r.correct else "I" for r in mine}
        assert read.results.scores[0].metrics["accuracy"].value == found.accuracy.value
