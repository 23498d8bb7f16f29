"""checkpoints/best is the best policy there was, whole, whatever happens meanwhile."""

import errno
import json
from pathlib import Path

import pytest

from openrs_core.errors import RunError
from openrs_core.record import inventory
from services.exporter.origin import find
from services.learner.best import Best
from tests.builders import an_evaluation
from tests.fakes import FakeTokenizer


def best(directory: Path, by: str = "held_out") -> Best:
    return Best(directory, by, FakeTokenizer())


def offer(kept: Best, version: int, accuracy: float, **changes) -> None:
    def write_model(directory: Path) -> None:
        directory.mkdir()
        (directory / "config.json").write_text(str(version))

    kept.offer([an_evaluation(version, accuracy=accuracy, **changes)], write_model)


def kept_version(directory: Path) -> int:
    """As the weights say, and the evaluation beside them."""
    assert inventory.fault(directory / "best") == ""
    line = json.loads((directory / "best" / "evaluation.json").read_text())
    assert line["version"] == int((directory / "best" / "model" / "config.json").read_text())
    return line["version"]


def test_a_better_policy_takes_the_place_of_a_worse_one_and_a_worse_one_does_not(tmp_path):
    kept, found = best(tmp_path), []
    for version, accuracy in ((0, 0.25), (10, 0.5), (20, 0.375), (30, 0.75)):
        offer(kept, version, accuracy)
        found.append(kept_version(tmp_path))
    assert found == [0, 10, 10, 30]
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_of_two_equal_ones_the_older_is_kept(tmp_path):
    kept = best(tmp_path)
    offer(kept, 10, 0.5)
    offer(kept, 20, 0.5)
    assert kept_version(tmp_path) == 10


@pytest.mark.parametrize("other", [{"set": "aime24"}, {"mode": "greedy"}])
def test_other_sets_and_the_greedy_mode_do_not_count(tmp_path, other):
    kept = best(tmp_path)
    offer(kept, 10, 0.5)
    offer(kept, 20, 0.9, **other)
    assert kept_version(tmp_path) == 10


def test_a_later_life_knows_how_good_it_has_to_be(tmp_path):
    offer(best(tmp_path), 10, 0.5)
    later = best(tmp_path)
    offer(later, 20, 0.4)
    assert kept_version(tmp_path) == 10
    offer(later, 30, 0.6)
    assert kept_version(tmp_path) == 30


def test_what_is_not_as_it_was_written_is_replaced(tmp_path):
    kept = best(tmp_path)
    offer(kept, 10, 0.5)
    (tmp_path / "best" / "model" / "config.json").unlink()
    offer(kept, 20, 0.1)
    assert kept_version(tmp_path) == 20


def test_a_crash_while_one_makes_way_loses_neither(tmp_path):
    """Between the two renames: the old one is aside, the new one has not its name yet."""
    offer(best(tmp_path), 10, 0.5)
    (tmp_path / "best").rename(tmp_path / "best.replaced")
    (tmp_path / "best.partial").mkdir()
    assert best(tmp_path).accuracy == 0.5
    assert kept_version(tmp_path) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize(
    ("error", "raised"), [(OSError(errno.ENOSPC, "full"), RunError), (ValueError("x"), ValueError)]
)
def test_what_cannot_be_written_leaves_the_one_before(tmp_path, error, raised):
    kept = best(tmp_path)
    offer(kept, 10, 0.5)

    def failing(_directory: Path) -> None:
        raise error

    with pytest.raises(raised):
        kept.offer([an_evaluation(20, accuracy=0.9)], failing)
    assert kept_version(tmp_path) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_it_can_be_exported_like_a_checkpoint(tmp_path):
    offer(best(tmp_path), 10, 0.5)
    found = find(tmp_path / "best", best=False)
    assert (found.version, found.model) == (10, tmp_path / "best" / "model")
