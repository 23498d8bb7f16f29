"""The live view of an evaluation says how far it is and how long the rest takes."""

import time
from dataclasses import replace

from openrs_core.record.lines import ProgressLine
from openrs_core.record.writer import RecordWriter
from services.supervisor.progress import LINE_SECONDS, ProgressView, pace

FIRST = ProgressLine(time=100.0, stage="evaluating", done=0, total=400, tokens=0)


def test_the_pace_is_that_of_this_life():
    assert pace(FIRST, replace(FIRST, time=150.0, done=100, tokens=5000)) == (
        "  100 tokens/s  0:02:30 left"
    )
    assert pace(FIRST, replace(FIRST, time=100.0 + 24 * 3600, done=100)) == "  72:00:00 left"


def test_before_anything_came_back_there_is_no_pace():
    assert pace(FIRST, FIRST) == ""
    assert pace(FIRST, replace(FIRST, time=150.0)) == ""


def test_a_log_has_a_line_now_and_then_and_the_last_one(tmp_path, capsys):
    view = ProgressView("x", tmp_path, time.monotonic())
    writer = RecordWriter(tmp_path)
    for done in range(401):
        writer.add(replace(FIRST, time=100.0 + done * LINE_SECONDS / 100, done=done))
    view.show({})
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" of")[0] for line in said] == [
        f"evaluating: {done}" for done in (0, 100, 200, 300, 400)
    ]
