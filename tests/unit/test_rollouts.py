"""A journal keeps every group that was synced, and forgets what a crash left half written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.errors import RunError
from openrs_core.record.rollouts import Journal, read_groups
from tests.builders import a_scored_group
from tests.strategies import scored_groups


def kept(path: Path, *groups) -> None:
    journal = Journal(path)
    for group in groups:
        journal.add(group)
    journal.sync()
    journal.close()


@given(groups=st.lists(scored_groups(), max_size=4))
def test_what_was_kept_is_read_as_it_was(tmp_path_factory, groups):
    path = tmp_path_factory.mktemp("journal") / "groups.bin"
    kept(path, *groups)
    assert list(read_groups(path)) == groups


@given(cut=st.integers(min_value=1))
def test_wherever_it_is_cut_the_groups_before_stand_and_more_can_be_added(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "groups.bin"
    group = a_scored_group()
    kept(path, group)
    one = path.stat().st_size
    kept(path, group)
    whole = path.read_bytes()
    path.write_bytes(whole[: one + cut % one])
    assert list(read_groups(path)) == [group]
    kept(path, group)
    assert list(read_groups(path)) == [group, group]


def test_there_is_nothing_in_a_journal_that_was_never_begun(tmp_path):
    assert list(read_groups(tmp_path / "groups.bin")) == []


def test_a_whole_frame_that_is_no_group_is_named(tmp_path, monkeypatch):
    path = tmp_path / "groups.bin"
    monkeypatch.setattr("openrs_core.record.rollouts.encode", lambda group: b"another openrs")
    kept(path, a_scored_group())
    with pytest.raises(RunError, match="group 1 cannot be read"):
        list(read_groups(path))
