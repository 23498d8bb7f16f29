"""`openrs dead`: what was buried is listed, shown, and put back."""

import json

import pytest
from typer.testing import CliRunner

from openrs_core.errors import RunError
from openrs_core.ring import dead_letters
from openrs_core.ring.keys import Keys
from openrs_core.wire.codec import encode
from openrs_core.wire.messages import Prompt, RolloutGroup
from services.cli import app
from services.monitor import dead
from services.monitor.dead import DeadLetters, put_back, show_list, show_one
from tests.builders import a_group, a_prompt

pytestmark = pytest.mark.redis


@pytest.fixture
def bury(client, run_id, queue):
    """Puts an entry into a stage, has it read and buried; gives the letter's id."""

    def bury(body: bytes, group: bytes | None = b"1.7", stage: str = "rollouts") -> str:
        named = {} if group is None else {"id": group}
        client.xadd(Keys(run_id).stage(stage), {"body": body, **named})
        assert not queue("scorer-0").read(stage, Prompt if stage == "prompts" else RolloutGroup, 1)
        return client.xrevrange(Keys(run_id).buried, count=1)[0][0].decode()

    return bury


@pytest.fixture
def found(client, run_id, redis_url, tmp_path, queue):
    """The run's dead letters, as the commands see them."""
    queue()  # its streams
    with DeadLetters(run_id, tmp_path, redis_url) as found:
        yield found


def test_letters_are_listed_newest_first_with_what_is_known_of_them(found, bury):
    first, second = bury(b"\xffnoise"), bury(encode(a_prompt()), None)
    told = json.loads(show_list(found, 1, as_json=True))
    assert [letter["id"] for letter in told] == [second, first]
    assert (told[1]["group"], told[1]["stage"], told[1]["consumer"], told[1]["size"]) == (
        "1.7", "rollouts", "scorer-0", 6,
    )  # fmt: skip
    assert told[0]["group"] is None
    assert "kind is 'prompt'" in told[0]["reason"]


def test_the_same_as_a_table(found, bury):
    first, second = bury(b"\xffnoise"), bury(b"more")
    text = show_list(found, 1, as_json=False)
    assert (second in text, first in text) == (True, False)
    assert text.endswith("there are more; --last N shows the newest N")
    assert first in show_list(found, 2, as_json=False)


def test_a_run_without_letters_says_so(found):
    assert "has no dead letters" in show_list(found, 20, as_json=False)


def test_many_letters_are_all_listed_although_they_are_read_in_parts(found, bury, monkeypatch):
    monkeypatch.setattr(dead, "AT_ONCE", 2)
    ids = [bury(b"noise") for _ in range(5)]
    assert [letter.id for letter in found.newest_first()] == ids[::-1]


def test_a_message_that_can_be_read_is_shown_with_its_arrays_as_numbers(found, bury):
    letter = bury(encode(a_prompt()))
    told = show_one(found, letter)
    message = json.loads(told[told.index("{") :])
    assert message["body"]["token_ids"] == [1, 2, 3]
    assert "kind is 'prompt', expected 'rollout_group'" in told


def test_a_message_that_cannot_be_read_is_shown_as_its_first_bytes(found, bury):
    told = show_one(found, bury(b"\xff\x00hello" + bytes(1000)))
    assert "000000  ff 00 68 65 6c 6c 6f" in told
    assert "..hello" in told
    assert "and 495 more bytes" in told


def test_nothing_that_is_shown_can_steer_a_terminal(found, bury):
    letter = bury(b"\x1b[2Jbody", b"\x1b]0;\x07\n[red]")
    for told in (show_one(found, letter), show_list(found, 9, as_json=False)):
        assert all(c.isprintable() or c == "\n" for c in told)
    assert "[red]" in show_list(found, 9, as_json=False)


def test_a_letter_that_is_put_back_is_delivered_again(found, bury, queue, client, run_id):
    """The message was good; the reader expected another kind."""
    letter = bury(encode(a_group()), stage="prompts")
    said = list(put_back(found, [letter], every=False))
    assert said == [f"{letter}: group 1.7 is in prompts again"]
    assert not client.xlen(Keys(run_id).buried)
    assert queue().traces() == {"1.7"}
    [taken] = queue().read("prompts", RolloutGroup, 1)
    assert taken.message == a_group()


def test_a_letter_without_a_group_is_put_back_without_one(found, bury, client, run_id):
    said = list(put_back(found, [bury(b"noise", None)], every=False))
    assert "a message without a group is in rollouts again" in said[0]
    [(_, fields)] = client.xrange(Keys(run_id).stage("rollouts"))
    assert fields == {b"body": b"noise"}


def test_all_can_be_put_back_in_the_order_they_were_buried(found, bury, client, run_id):
    ids = [bury(body) for body in (b"one", b"two", b"three")]
    assert [line.partition(":")[0] for line in put_back(found, [], every=True)] == ids
    entries = client.xrange(Keys(run_id).stage("rollouts"))
    assert [fields[b"body"] for _, fields in entries] == [b"one", b"two", b"three"]


def test_an_id_that_is_not_there_is_named_and_nothing_is_done(found, bury, client, run_id):
    there = bury(b"noise")
    for absent in ("1-1", "nonsense", "+", "-", "(0"):
        with pytest.raises(RunError, match="has no dead letter"):
            list(put_back(found, [there, absent], every=False))
    assert client.xlen(Keys(run_id).buried) == 1


def test_a_letter_is_put_back_once(found, bury, client, run_id):
    letter, _ = found.find(bury(b"noise"))
    assert [found.requeue(letter), found.requeue(letter)] == [True, False]
    assert client.xlen(Keys(run_id).stage("rollouts")) == 1


def test_a_large_body_is_cut_and_cannot_be_put_back(found, bury):
    letter = bury(b"\xff" * (dead_letters.WHOLE_BYTES + 1))
    head, body = found.find(letter)
    assert (head.size, head.cut, len(body)) == (
        dead_letters.WHOLE_BYTES + 1,
        True,
        dead_letters.CUT_BYTES,
    )
    with pytest.raises(RunError, match=f"only the first {dead_letters.CUT_BYTES} were kept"):
        list(put_back(found, [letter], every=False))
    [said] = put_back(found, [], every=True)
    assert said == (
        f"{letter}: left alone, of its {dead_letters.WHOLE_BYTES + 1} bytes only the first"
        f" {dead_letters.CUT_BYTES} were kept"
    )
    assert "(cut)" in show_list(found, 9, as_json=False)


def test_a_letter_of_no_stage_is_left_alone(found, client, run_id):
    """Whoever can write to Redis can have written it."""
    fields = {"body": b"noise", "stage": "nowhere"}
    letter = client.xadd(Keys(run_id).buried, fields).decode()
    [said] = put_back(found, [], every=True)
    assert said == f"{letter}: left alone, it names no stage of a run"


def test_the_largest_body_that_is_kept_whole_can_be_put_back(found, bury):
    letter = bury(b"\xff" * dead_letters.WHOLE_BYTES)
    assert "in rollouts again" in next(put_back(found, [letter], every=False))


def test_only_the_newest_letters_are_kept(found, bury, monkeypatch):
    monkeypatch.setattr(dead_letters, "KEPT", 3)
    ids = [bury(b"noise") for _ in range(5)]
    assert [letter.id for letter in found.newest_first()] == ids[:1:-1]


def command(*arguments: str):
    return CliRunner().invoke(app, ["dead", *arguments])


def test_the_commands_find_the_redis_of_openrs_up(found, bury, redis_url, run_id, tmp_path):
    letter = bury(b"noise")
    (tmp_path / run_id / "redis").mkdir(parents=True)
    (tmp_path / run_id / "redis" / "url").write_text(f"{redis_url}\n")
    where = ["--runs", str(tmp_path)]
    assert letter in command("list", run_id, *where).output
    assert "noise" in command("show", run_id, letter, *where).output
    assert "in rollouts again" in command("requeue", run_id, letter, *where).output
    assert "no dead letters" in command("list", str(tmp_path / run_id)).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--all", "1-1"], "give the ids of the letters, or --all"),
        ([], "give the ids of the letters"),
    ],
)
def test_requeue_wants_either_names_or_all(found, run_id, redis_url, arguments, said):
    error = command("requeue", run_id, "--redis", redis_url, *arguments).exception
    assert isinstance(error, RunError)
    assert said in str(error)


def test_a_run_that_nobody_knows_is_named(redis_url, tmp_path):
    with pytest.raises(RunError, match="run 'nope': Redis knows no such run"):
        DeadLetters("nope", tmp_path, redis_url)
    with pytest.raises(RunError, match=r"run 'nope': .*nope names no Redis"):
        DeadLetters("nope", tmp_path, None)
