"""A checkpoint is used when it is as it was written, and never otherwise."""

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from openrs_core.errors import RunError, is_disk_full
from openrs_core.lifecycle import Settings, running
from openrs_core.record import inventory
from openrs_core.record.checkpoint import State
from openrs_core.record.lines import LifeLine
from openrs_core.record.writer import RecordWriter
from services.learner.checkpoints import Checkpoints
from services.learner.trainer.optimizer_state import Stored
from services.sampler.text import stop_token_ids
from tests.fakes import FakeSaves, FakeTokenizer


def checkpoints(directory: Path, keep: int = 2) -> Checkpoints:
    return Checkpoints(directory, keep, FakeTokenizer())


def a_state(version: int, incarnation: int = 1) -> State:
    ledger, health = {"cursor": version}, {"made": version}
    return State(
        version=version, incarnation=incarnation, fingerprint="f", ledger=ledger, prompts=[],
        health=health, algorithm={"entropy": {"weight": 0.1}},
    )  # fmt: skip


def save(directory: Path, *policies: tuple[int, int], keep: int = 2) -> list[Path]:
    """Checkpoints of these incarnations and versions."""
    kept = checkpoints(directory, keep)
    return [kept.save(FakeSaves(), a_state(version, life)) for life, version in policies]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def cut_short(path: Path) -> None:
    os.truncate(path / "optimizer" / "moments", 3)


def altered(path: Path) -> None:
    (path / "model" / "config.json").write_text("[]")


def lost_a_file(path: Path) -> None:
    (path / "model" / "tokenizer.json").unlink()


def unfinished(path: Path) -> None:
    (path / "files.json").unlink()


def half_a_list(path: Path) -> None:
    os.truncate(path / "files.json", 20)


def no_state(path: Path) -> None:
    (path / "state.json").write_text("{")


DAMAGES = {
    cut_short: "optimizer/moments has 3 bytes, 7 were written",
    altered: "model/config.json was altered",
    lost_a_file: "model/tokenizer.json is missing",
    unfinished: "files.json is missing",
    half_a_list: "files.json cannot be read",
    no_state: "state.json has 1 bytes",
}

Damage = Callable[[Path], None]

each_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    [path] = save(tmp_path, (1, 7))
    assert checkpoints(tmp_path).newest() == path
    assert checkpoints(tmp_path).load(path, "f") == a_state(7)
    assert {file.name for file in (path / "model").iterdir()} == {"config.json", "tokenizer.json"}


def test_a_model_keeps_all_its_ends_of_sequence(tmp_path):
    """Those that stand in the base model's generation_config.json, which nobody else writes."""
    base = tmp_path / "base"
    base.mkdir()
    kept = Checkpoints(tmp_path, 2, FakeTokenizer(), base)
    first = kept.save(FakeSaves(), a_state(1))
    assert not (first / "model" / "generation_config.json").exists()
    (base / "generation_config.json").write_text('{"eos_token_id": [5, 7]}')
    second = kept.save(FakeSaves(), a_state(2))
    assert stop_token_ids(second / "model", HasEnd(5)) == [5, 7]
    assert not inventory.fault(second, digests=True)


@each_damage
def test_a_damaged_one_is_passed_over_with_one_warning_and_stays(tmp_path, caplog, damage: Damage):
    older, newer = save(tmp_path, (1, 1), (1, 2))
    damage(newer)
    assert checkpoints(tmp_path).newest() == older
    [warning] = caplog.messages
    assert str(newer) in warning
    assert DAMAGES[damage] in warning
    assert newer.exists()


@each_damage
def test_a_damaged_one_is_replaced_when_its_step_is_saved_again(tmp_path, damage: Damage):
    _, path = save(tmp_path, (1, 1), (1, 2))
    damage(path)
    save(tmp_path, (1, 2))
    assert checkpoints(tmp_path).newest() == path
    assert names(tmp_path) == ["step-000001", "step-000002"]


@each_damage
def test_a_damaged_one_is_none_of_those_that_are_kept(tmp_path, damage: Damage):
    """An alteration that keeps the size is seen when it matters: on loading."""
    first, second = save(tmp_path, (1, 1), (1, 2))
    damage(second)
    save(tmp_path, (1, 3))
    assert second.exists()
    assert first.exists() is (damage is not altered)


def test_the_newest_is_of_the_latest_life_whatever_its_step(tmp_path):
    """An earlier life, which did not know yet that it was over, may have gone further."""
    save(tmp_path, (1, 30))
    _, path = save(tmp_path, (1, 40), (2, 31))
    assert checkpoints(tmp_path).newest() == path
    save(tmp_path, (2, 32))
    assert names(tmp_path) == ["step-000031", "step-000032"]


def test_the_same_step_of_another_life_is_replaced(tmp_path):
    save(tmp_path, (1, 30))
    [path] = save(tmp_path, (2, 30))
    assert checkpoints(tmp_path).load(path, "f").incarnation == 2
    assert names(tmp_path) == ["step-000030"]


def test_one_that_is_there_already_is_not_written_again(tmp_path):
    [path] = save(tmp_path, (1, 30))
    again = checkpoints(tmp_path).save(FakeSaves("other"), a_state(30))
    assert (again / "optimizer" / "moments").read_text() == "moments"
    assert again == path


def test_one_that_made_way_is_found_after_a_crash_between_the_renames(tmp_path):
    [path] = save(tmp_path, (1, 30))
    path.rename(tmp_path / "replaced-000030")
    assert checkpoints(tmp_path).newest() == tmp_path / "replaced-000030"
    save(tmp_path, (2, 31))
    assert names(tmp_path) == ["step-000031"]


def test_what_a_killed_life_left_unfinished_goes_with_the_next_checkpoint(tmp_path):
    for name in ("partial-000030.1", "partial-000030", "removed-step-000001"):
        (tmp_path / name / "optimizer").mkdir(parents=True)
    assert checkpoints(tmp_path).newest() is None
    save(tmp_path, (2, 5))
    assert names(tmp_path) == ["step-000005"]


def test_only_the_last_checkpoints_are_kept(tmp_path):
    save(tmp_path, (1, 1), (1, 2), (1, 3), (1, 10))
    assert names(tmp_path) == ["step-000003", "step-000010"]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    [path] = save(tmp_path, (1, 7))
    with pytest.raises(RunError, match=r"under another recipe \(fingerprint f, not g\)"):
        checkpoints(tmp_path).load(path, "g")


def test_a_checkpoint_that_could_not_be_finished_is_not_there(tmp_path):
    save(tmp_path, (1, 1))
    with pytest.raises(OSError, match="no such luck"):
        checkpoints(tmp_path).save(FakeSaves(failure=OSError("no such luck")), a_state(2))
    assert names(tmp_path) == ["step-000001"]
    save(tmp_path, (1, 2))
    assert names(tmp_path) == ["step-000001", "step-000002"]


# --- a full disk -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=str,
)
def test_a_full_disk_is_said_in_one_line_and_costs_nothing_older(tmp_path, failure):
    [path] = save(tmp_path, (1, 1), keep=1)
    with pytest.raises(RunError) as said:
        checkpoints(tmp_path, keep=1).save(FakeSaves(failure=failure), a_state(2))
    line = str(said.value)
    assert "step-000002: the disk is full" in line
    assert f"bytes free in {tmp_path}" in line
    assert f"the newest good checkpoint is {path}; make room" in line
    assert "\n" not in line
    assert names(tmp_path) == ["step-000001"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("NOT TESTED: a really full disk; only root can mount a small one")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


class HasEnd:
    """A tokenizer with this end of sequence."""

    def __init__(self, token: int | None) -> None:
        self.eos_token_id = token


class HeavyTrainer(FakeSaves):
    """Writes as the real one does."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        save_file({"w": torch.zeros(self.values)}, directory / "optimizer-00001.safetensors")


class HeavyTokenizer:
    def save_pretrained(self, save_directory: Path) -> None:
        (save_directory / "tokenizer.json").write_bytes(b"x" * 2_000_000)


def test_a_disk_that_is_really_full_leaves_the_older_one_intact(small_disk):
    kept = checkpoints(small_disk)
    path = kept.save(HeavyTrainer(100_000), a_state(1))
    with pytest.raises(RunError, match="the disk is full"):
        kept.save(HeavyTrainer(200_000), a_state(2))
    with pytest.raises(RunError, match="the disk is full"):
        Checkpoints(small_disk, 2, HeavyTokenizer()).save(HeavyTrainer(10), a_state(2))
    assert names(small_disk) == ["step-000001"]
    assert kept.newest() == path
    kept.save(HeavyTrainer(20_000), a_state(2))
    assert names(small_disk) == ["step-000001", "step-000002"]


def test_a_checkpoint_of_another_openrs_is_refused_by_name_and_not_passed_over(tmp_path):
    """Its ledger would be misread: the run goes on with the openrs that began it, or anew."""
    [path] = save(tmp_path, (1, 7))
    state = json.loads((path / "state.json").read_text())
    del state["format"], state["prompts"]
    (path / "state.json").write_text(json.dumps(state))
    inventory.write(path)
    kept = checkpoints(tmp_path)
    assert kept.newest() == path
    with pytest.raises(RunError, match="has format 1, this openrs reads 4: go on with the openrs"):
        kept.load(path, "f")


@pytest.mark.usefixtures("a_process_of_its_own")
def test_a_record_that_finds_the_disk_full_ends_the_process_with_one_line(small_disk, capsys):
    record = RecordWriter(small_disk)
    (small_disk / "filler").write_bytes(b"x" * (2**20 - 8192))
    settings = Settings(redis_url="", run="r", name="n")

    def run() -> None:
        with running("learner", settings):
            for number in range(10_000):
                record.add(LifeLine(incarnation=1, version=number))

    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert f"learner: the disk is full (writing {small_disk / 'metrics.jsonl'})" in line
    torn = (small_disk / "metrics.jsonl").read_bytes()
    (small_disk / "filler").unlink()
    RecordWriter(small_disk)
    lines = (small_disk / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["version"] for line in lines] == list(range(torn.count(b"\n")))


def test_other_failures_of_the_system_are_no_full_disk():
    assert not is_disk_full(OSError(errno.EIO, "broken"))
    assert not is_disk_full(RuntimeError("os error 28"))


# --- the optimizer's state -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"w": torch.zeros(3, 2)}, "w.master is missing or has another shape"),
        ({"w": torch.zeros(2, 3), "v": torch.zeros(1)}, "v.master is missing"),
    ],
)
def test_the_state_of_another_model_is_refused(tmp_path, parameters, said):
    kinds = ("master", "exp_avg", "exp_avg_sq")
    tensors = {f"w.{kind}": torch.zeros(2, 3) for kind in kinds}
    save_file(tensors, tmp_path / "optimizer-00001.safetensors", metadata={"count": "7"})
    stored = Stored(tmp_path)
    assert stored.count == 7
    stored.check([("w", torch.zeros(2, 3))])
    with pytest.raises(RunError, match=said):
        stored.check(parameters.items())


def test_a_checkpoint_without_an_optimizer_is_refused(tmp_path):
    with pytest.raises(RunError, match="no optimizer state is there"):
        Stored(tmp_path)
