"""A journal keeps every group that was synced, and forgets what a crash left half written."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.errors import RunError
from openrs_core.record.rollouts import Journal
from tests.builders import a_prompt, a_scored_group
from tests.strategies import scored_groups


def kept(path: Path, *groups) -> None:
    journal = Journal(path)
    for group in groups:
        journal.add(group)
    journal.sync()
    journal.close()


def stored(path: Path) -> list:
    journal = Journal(path)
    found = list(journal)
    journal.close()
    return found


def named(group_id: str):
    return a_scored_group(replace(a_prompt(), group_id=group_id))


def name(group) -> str:
    return group.rollout.prompt.group_id


@given(groups=st.lists(scored_groups(), max_size=4, unique_by=name))
def test_what_was_kept_is_read_as_it_was(tmp_path_factory, groups):
    path = tmp_path_factory.mktemp("journal") / "groups.bin"
    kept(path, *groups)
    assert stored(path) == groups


@given(cut=st.integers(min_value=1))
def test_wherever_it_is_cut_the_groups_before_stand_and_more_can_be_added(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "groups.bin"
    first, second = named("1.1"), named("1.2")
    kept(path, first)
    one = path.stat().st_size
    kept(path, second)
    whole = path.read_bytes()
    path.write_bytes(whole[: one + cut % (len(whole) - one)])
    assert stored(path) == [first]
    kept(path, second)
    assert stored(path) == [first, second]


def test_a_group_is_found_by_its_name_also_before_it_is_synced(tmp_path):
    first, second = named("1.1"), named("1.2")
    kept(tmp_path / "groups.bin", first)
    journal = Journal(tmp_path / "groups.bin")
    journal.add(second)
    assert (journal.group("1.2"), journal.group("1.1")) == (second, first)
    assert ("1.1" in journal, "1.3" in journal) == (True, False)
    journal.close()


def test_there_is_nothing_in_a_journal_that_was_never_begun(tmp_path):
    assert stored(tmp_path / "groups.bin") == []


def test_a_whole_frame_that_is_no_group_is_named(tmp_path, monkeypatch):
    path = tmp_path / "groups.bin"
    monkeypatch.setattr("openrs_core.record.rollouts.encode", lambda group: b"another openrs")
    kept(path, a_scored_group())
    with pytest.raises(RunError, match="group at byte 0 cannot be read"):
        stored(path)
