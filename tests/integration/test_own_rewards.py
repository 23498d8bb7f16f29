"""Rewards of the user's own in real child processes: whatever one does costs one verdict."""

import logging
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from openrs_core.errors import RecipeError
from openrs_core.recipe.scorer import OwnSection, ScorerSection
from openrs_core.wire.messages import RolloutGroup, ScoredGroup
from services.scorer.loop import run
from services.scorer.rewards.own import OwnRewards, refuse_unusable
from tests.builders import a_completion, a_group, a_prompt
from tests.conftest import wait_until
from tests.fakes import FakeVerifiers
from tests.hostile_rewards import BEHAVIOURS

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]
NAME = "tests.hostile_rewards:by_text"
RULES = ScorerSection(
    weights={"accuracy": 1.0, NAME: 0.5},
    own=OwnSection(workers=2, deadline_seconds=6.0, memory_mib=1024),
)
HARMLESS = ["print"]
FAULTS = [text for text in BEHAVIOURS if text not in HARMLESS]


def group_of(*texts: str, group_id: str = "1.1") -> RolloutGroup:
    prompt = a_prompt(group_id, group_size=len(texts))
    return replace(a_group(prompt), completions=tuple(map(a_completion, texts)))


@pytest.fixture(scope="module")
def own() -> Iterator[OwnRewards]:
    own = OwnRewards(RULES, ROOT)
    yield own
    own.close()


def given(own: OwnRewards, *texts: str) -> list[dict[str, float] | None]:
    return [own.given(asked) for asked in own.ask(group_of(*texts), ["correct"] * len(texts))]


def test_a_reward_is_what_the_function_returns(own):
    assert given(own, "a", "bb") == [{NAME: 1 / 16}, {NAME: 2 / 16}]


def test_each_that_fails_costs_one_verdict_and_the_others_are_unharmed(own, caplog):
    texts = [text for fault in FAULTS for text in ("ordinary", fault)]
    with caplog.at_level(logging.WARNING):
        found = given(own, *texts, "ordinary")
    assert found[::2] == [{NAME: 8 / 16}] * (len(FAULTS) + 1)
    assert dict(zip(FAULTS, found[1::2], strict=True)) == dict.fromkeys(FAULTS)
    said = [record.getMessage() for record in caplog.records]
    assert all(NAME in line and "\n" not in line and len(line) < 500 for line in said)
    for reason in (
        "did not return before its deadline", "took more memory than it may", "raised NameError",
        "raised SystemExit", "ended its process", "returned no number within 20 either way: None",
    ):  # fmt: skip
        assert any(reason in line for line in said), (reason, said)


def test_a_kind_of_failure_is_said_once(caplog):
    own = OwnRewards(RULES, ROOT)
    try:
        with caplog.at_level(logging.WARNING):
            assert given(own, *["raise"] * 20, "nothing") == [None] * 21
    finally:
        own.close()
    assert len(caplog.records) == 2


def test_a_gigabyte_that_is_printed_goes_nowhere(own, capfd):
    assert given(own, "print") == [{NAME: 1.0}]
    assert capfd.readouterr() == ("", "")


def test_nothing_is_asked_of_what_nobody_could_verify(own):
    assert own.ask(group_of("hang"), ["error"]) == [{}]
    assert own.given({}) == {}


def test_nothing_is_asked_in_an_evaluation(own):
    """A reward that fails would make a right answer an `error`, and accuracy lower than it is."""
    group = group_of("\\boxed{7}")
    evaluated = replace(group, prompt=replace(group.prompt, purpose="eval"))
    assert own.ask(evaluated, ["correct"]) == [{}]


@pytest.mark.redis
def test_the_scorer_hands_on_a_group_with_the_verdict_error_where_a_reward_failed(queue, own):
    learner, stop = queue("learner"), threading.Event()
    learner.publish("rollouts", [group_of("\\boxed{7}", "raise", "ordinary", group_id="1.2")])
    scorer = queue("scorer")
    loop = threading.Thread(target=run, args=(scorer, FakeVerifiers(), RULES, stop, own))
    loop.start()
    found: list[ScoredGroup] = []
    try:
        wait_until(
            lambda: (
                found.extend(d.message for d in learner.read("scored", ScoredGroup, 1)) or found
            ),
            "the group",
        )
    finally:
        stop.set()
        loop.join()
    right, failed, wrong = found[0].scores
    assert (right.verdict, right.components) == ("correct", {"accuracy": 1.0, NAME: 9 / 16})
    assert right.reward == pytest.approx(1 + 0.5 * 9 / 16)
    assert (failed.verdict, failed.reward) == ("error", 0.0)
    assert failed.components == {"accuracy": 0.0, NAME: 0.0}
    assert (wrong.verdict, wrong.components[NAME]) == ("incorrect", 0.5)


MINE = """
def brevity(problem, completion, verdict):
    return 1 / (1 + len(completion))

def nothing(problem, completion, verdict):
    pass

def broken(problem, completion, verdict):
    return missing

def one(problem):
    return 1

number = 7
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A directory with modules of the user's."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "torn.py").write_text("def f(:\n")
    (tmp_path / "lost.py").write_text("import nowhere_at_all\n")
    (tmp_path / "deadly.py").write_text("import os\nos._exit(3)\n")
    return tmp_path


def test_a_module_is_found_in_the_directory_that_is_named(mine):
    refuse_unusable(ScorerSection(weights={"mine:brevity": 1}), mine)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine:nothing", "it returned no number within 20 either way: None"),
        ("mine:broken", "it raised NameError: name 'missing' is not defined"),
        ("mine:one", "it raised TypeError: one() takes 1 positional argument"),
        ("mine:number", "it raised TypeError: 'int' object is not callable"),
        ("mine:absent", "it raised AttributeError: module 'mine' has no attribute 'absent'"),
        ("nowhere_at_all:f", "it raised ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("lost:f", "it raised ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("torn:f", "it raised SyntaxError"),
        ("deadly:f", "it ended its process"),
    ],
)
def test_what_cannot_be_a_reward_is_refused_in_a_line_that_names_it(mine, name, said):
    with pytest.raises(RecipeError) as refused:
        refuse_unusable(ScorerSection(weights={"accuracy": 1, name: 1}), mine)
    line = str(refused.value)
    assert line.startswith(f"scorer.weights has {name!r}, but it ")
    assert said in line
    assert str(mine) in line
    assert "\n" not in line


def test_an_import_that_never_ends_is_refused_too(tmp_path, monkeypatch):
    (tmp_path / "endless.py").write_text("while True: pass\n")
    monkeypatch.setattr("services.scorer.rewards.own.LOAD_SECONDS", 2.0)
    with pytest.raises(RecipeError, match="it did not return before its deadline"):
        refuse_unusable(ScorerSection(weights={"endless:f": 1}), tmp_path)


@pytest.mark.parametrize("option", ["weights", "language"])
def test_up_refuses_it_before_anything_is_loaded(mine, option):
    """Beside the recipe lies the module; the working directory is another."""
    recipe = mine / "toy.toml"
    recipe.write_text((ROOT / "recipes" / "toy.toml").read_text())
    elsewhere = mine / "elsewhere"
    elsewhere.mkdir()
    key = {"weights": "scorer.weights.mine:broken=1", "language": "scorer.language.code=zzz"}
    command = ["up", str(recipe), "--run", "x", "--set", key[option]]
    found = subprocess.run(
        [sys.executable, "-m", "services.cli", *command], cwd=elsewhere,
        capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (2, ""), found.stderr
    assert found.stderr.count("\n") == 1, found.stderr
    assert key[option].partition("=")[0].split(".")[1] in found.stderr
    assert list(elsewhere.iterdir()) == []


def test_the_example_of_the_page_is_a_reward(tmp_path):
    """Its code and its recipe, as they stand in docs/rewards.md."""
    page = (ROOT / "docs" / "rewards.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [weights] = [
        block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if ":" in block
    ]
    (tmp_path / "my_rewards.py").write_text(code)
    rules = ScorerSection(weights=tomllib.loads(weights)["scorer"]["weights"])
    refuse_unusable(rules, tmp_path)
    own = OwnRewards(rules, tmp_path)
    try:
        asked = own.ask(group_of("Perhaps 7", "7", "8"), ["correct", "correct", "incorrect"])
        found = [own.given(each) for each in asked]
    finally:
        own.close()
    assert found == [{"my_rewards:resolve": value} for value in (0.5, 1.0, 0.0)]
