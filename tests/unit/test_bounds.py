"""Bounds of messages: what could exhaust a process is refused, quickly and in few words."""

import array
import time
import tracemalloc
from dataclasses import replace
from typing import get_args

import msgpack
import pytest

from openrs_core.errors import DecodeError
from openrs_core.recipe.scorer import MOST_OWN, BuiltIn, ScorerSection
from openrs_core.wire.codec import MAX_REASON, decode, encode
from openrs_core.wire.fields import MAX_COMPONENTS, MAX_REWARD
from openrs_core.wire.messages import Prompt, RolloutGroup, ScoredGroup
from services.scorer.rewards.score import score
from tests.builders import a_completion, a_group, a_prompt, a_scored_group

QUICK_SECONDS, SMALL_BYTES = 2.0, 150 << 20
"""Measured: at most 0.06 s and 95 MB, of bodies of up to 60 MB."""


def prompt_with(**body) -> bytes:
    whole = msgpack.unpackb(encode(a_prompt()))
    whole["body"] |= body
    return msgpack.packb(whole, unicode_errors="surrogatepass")


def sampled_with(**sampling) -> bytes:
    return prompt_with(sampling={"temperature": 1.0, "max_tokens": 8, "group_size": 2} | sampling)


def scored_with(**score) -> bytes:
    whole = msgpack.unpackb(encode(a_scored_group()))
    whole["body"]["scores"][0] |= score
    return msgpack.packb(whole)


def completed_with(**completion) -> bytes:
    whole = msgpack.unpackb(encode(a_group()))
    whole["body"]["completions"][0] |= completion
    return msgpack.packb(whole)


def floats(*values: float) -> bytes:
    return array.array("f", values).tobytes()


NESTED: object = 1
for _ in range(900):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("data", "kind", "named"),
    [
        (prompt_with(group_id=""), Prompt, "group_id"),
        (prompt_with(group_id="g" * 201), Prompt, "group_id"),
        (prompt_with(group_id=b"1.1"), Prompt, "group_id"),
        (prompt_with(prompt_id="p" * 1001), Prompt, "prompt_id"),
        (prompt_with(answer="7" * 70_000), Prompt, "answer"),
        (prompt_with(answer=7), Prompt, "answer"),
        (prompt_with(answer="\ud800"), Prompt, "not msgpack"),
        (prompt_with(incarnation=2**53), Prompt, "incarnation"),
        (prompt_with(incarnation="1"), Prompt, "incarnation"),
        (prompt_with(incarnation=True), Prompt, "incarnation"),
        (prompt_with(issued_at=float("inf")), Prompt, "issued_at"),
        (prompt_with(token_ids=b"\xff" * 4), Prompt, "token_ids"),
        (prompt_with(token_ids=[1, 2]), Prompt, "token_ids"),
        (prompt_with(token_ids=bytes(4 * 2**20 + 4)), Prompt, "token_ids"),
        (sampled_with(group_size=1025), Prompt, "group_size"),
        (sampled_with(max_tokens=2**20 + 1), Prompt, "max_tokens"),
        (sampled_with(temperature=float("nan")), Prompt, "temperature"),
        (completed_with(behaviour_logprobs=floats(0.5, -1.0)), RolloutGroup, "logprobs"),
        (completed_with(behaviour_logprobs=floats(float("nan"), -1.0)), RolloutGroup, "logprobs"),
        (completed_with(behaviour_logprobs=floats(-1.0, float("-inf"))), RolloutGroup, "logprobs"),
        (completed_with(policies=[{}] * 5000), RolloutGroup, "policies"),
        (scored_with(reward=1.1e6), ScoredGroup, "reward"),
        (scored_with(reward=float("nan")), ScoredGroup, "reward"),
        (scored_with(components={"a": float("inf")}), ScoredGroup, "components"),
        (scored_with(components={f"c{n}": 0.0 for n in range(33)}), ScoredGroup, "components"),
        (scored_with(components={"c" * 10_000_000: 0.0}), ScoredGroup, "components"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused_and_its_field_is_named(data, kind, named):
    with pytest.raises(DecodeError, match=named) as refused:
        decode(data, kind)
    assert len(str(refused.value)) < 2 * MAX_REASON


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"completions": []}, "0 completions and no failure"),
        ({"failure": "none"}, "2 completions and a failure"),
        ({"completions": [None]}, "completions"),
    ],
)
def test_a_group_is_what_was_asked_for_or_a_failure(body, said):
    whole = msgpack.unpackb(encode(a_group()))
    whole["body"] |= body
    with pytest.raises(DecodeError, match=said):
        decode(msgpack.packb(whole), RolloutGroup)


def test_a_group_of_another_size_than_asked_for_cannot_even_be_made():
    group = a_group()
    with pytest.raises(ValueError, match="1 completions and no failure, group_size 2"):
        replace(group, completions=group.completions[:1])


def test_a_completion_longer_than_asked_for_cannot_even_be_made():
    with pytest.raises(ValueError, match="a completion of 9 tokens, max_tokens 8"):
        replace(a_group(), completions=(a_completion(tokens=9), a_completion()))


HUGE_ARRAY, FULL_ARRAY = b"\xdd\x03\0\0\0", b"\xdc\x40\0"
BOMBS = {
    "an array that claims 2**31 elements": b"\xdd\x80\0\0\0",
    "a map that claims 2**31 pairs": b"\xdf\x80\0\0\0",
    "a text that claims 2**31 bytes": b"\xdb\x80\0\0\0",
    "ten thousand nested arrays": b"\x91" * 10_000 + b"\1",
    "a thousand nested maps": b"\x81\xa1a" * 1000 + b"\1",
    "a thousand nested arrays, each claims 50 million": HUGE_ARRAY * 1000 + b"\xc0" * (60 << 20),
    "a thousand nested arrays, each claims 16,384": FULL_ARRAY * 1000 + b"\xc0" * (1 << 20),
    "50 million nothings": HUGE_ARRAY + b"\xc0" * (3 << 24),
    "20 million small arrays": b"\xdc\5\0" + (FULL_ARRAY + b"\x91\1" * 16_384) * 1280,
    "an extension type": prompt_with(answer=msgpack.ExtType(5, b"x")),
    "a timestamp": prompt_with(issued_at=msgpack.Timestamp(1, 1)),
    "a kind of 60 MB": msgpack.packb({"schema": 2, "kind": "x" * (60 << 20)}),
    "a kind of 900 nested arrays": msgpack.packb({"schema": 2, "kind": NESTED}),
    "a schema of 900 nested arrays": msgpack.packb({"schema": NESTED, "kind": "prompt"}),
    "a million wrong token ids": prompt_with(token_ids=b"\xff" * (4 << 20)),
    "15 million token ids": prompt_with(token_ids=bytes(60 << 20)),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_it_goes_off(bomb):
    tracemalloc.start()
    begun = time.process_time()  # of this process alone: a busy machine changes nothing
    with pytest.raises(DecodeError) as refused:
        decode(bomb, Prompt)
    seconds, (_, most) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (seconds < QUICK_SECONDS, most < SMALL_BYTES) == (True, True), (seconds, most)
    assert len(str(refused.value)) < 2 * MAX_REASON


def test_text_that_utf8_cannot_write_is_written_with_question_marks():
    """A tokenizer gives none; a data set may. It must not end the process that passes it on."""
    passed_on = decode(encode(replace(a_prompt(), answer="a\ud800b")), Prompt)
    assert passed_on.answer == "a?b"


def test_no_recipe_makes_a_reward_that_a_message_cannot_hold():
    """The largest weights of all there are, and of as many of the user's own as fit."""
    built_in = [name for name in get_args(BuiltIn) if name not in ("repetition", "overlong")]
    own = {f"m:f{n}": MOST_OWN for n in range(MAX_COMPONENTS - len(get_args(BuiltIn)))}
    against = {"repetition": -1000, "overlong": -1000}
    most = ScorerSection.model_validate(
        {
            "weights": dict.fromkeys([*built_in, *own], 1000) | against,
            "cosine": {"correct": (100, 100)},
            "repetition": {"ngram": 1, "penalty": -100},
        }
    )
    right = replace(a_completion("<think>\n</think>\\boxed{7}", tokens=8), token_ids=(7,) * 8)
    group = replace(a_group(), completions=(right, right))
    scores = score(group, ["correct", "correct"], [own, own], most)
    bound = 1000 * (len(get_args(BuiltIn)) - 2 + 100 + 100 + len(own) * MOST_OWN)
    assert 600_000 < scores[0].reward <= bound < MAX_REWARD
    scored = ScoredGroup(rollout=group, scores=scores)
    assert decode(encode(scored), ScoredGroup) == scored


def test_more_rewards_than_a_message_can_hold_are_refused():
    with pytest.raises(ValueError, match="at most 32"):
        ScorerSection.model_validate({"weights": {f"m:f{n}": 1 for n in range(33)}})
