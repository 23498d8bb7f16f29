"""What is written is what is read, and nothing else is ever read."""

import json
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.errors import DecodeError
from openrs_core.wire import codec
from openrs_core.wire.codec import SCHEMA, decode, encode
from openrs_core.wire.messages import Prompt, RolloutGroup, ScoredGroup, WeightsManifest
from tests.builders import a_manifest, a_prompt, a_scored_group
from tests.strategies import manifests, notes, prompts, rollout_groups, scored_groups

GOLDEN = Path(__file__).parents[1] / "golden" / "messages.json"


@given(prompts | rollout_groups() | scored_groups() | manifests | notes)
def test_every_message_survives_the_wire(message):
    assert decode(encode(message), type(message)) == message


def test_todays_messages_are_written_as_they_were_when_this_schema_was_fixed():
    """A change of the wire form must come with a new schema number (and new golden bytes)."""
    golden = json.loads(GOLDEN.read_text())
    assert golden["schema"] == SCHEMA
    assert encode(a_prompt()).hex() == golden["prompt"]
    assert encode(a_scored_group()).hex() == golden["scored_group"]
    assert encode(a_manifest(7)).hex() == golden["weights_manifest"]


@given(st.binary(max_size=200))
def test_noise_is_refused(noise):
    with pytest.raises(DecodeError):
        decode(noise, Prompt)


@given(st.data())
def test_a_cut_message_is_refused(data):
    whole = encode(a_scored_group())
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DecodeError):
        decode(whole[:length], ScoredGroup)


def envelope(**changes):
    """An encoded prompt with something changed in it."""
    whole = msgpack.unpackb(encode(a_prompt()))
    whole["body"] |= changes.pop("body", {})
    return msgpack.packb(whole | changes)


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        (envelope(schema=99), "schema is 99"),
        (envelope(kind="parcel"), "kind is 'parcel'"),
        (envelope(body={"incarnation": -1}), "incarnation"),
        (envelope(body={"purpose": "fun"}), "purpose"),
        (envelope(body={"token_ids": b"\1\2\3"}), "token_ids"),
        (envelope(body={"issued_at": float("nan")}), "issued_at"),
        (msgpack.packb([1, 2]), "envelope"),
    ],
)
def test_a_fault_is_named(damaged, named):
    with pytest.raises(DecodeError, match=named):
        decode(damaged, Prompt)


@pytest.mark.parametrize("logprob", [0.5, float("nan"), float("-inf")])
def test_a_logprob_that_cannot_be_is_refused(logprob):
    whole = msgpack.unpackb(encode(a_scored_group().rollout))
    import array

    whole["body"]["completions"][0]["behaviour_logprobs"] = array.array(
        "f", [logprob, -1.0]
    ).tobytes()
    with pytest.raises(DecodeError, match="behaviour_logprobs"):
        decode(msgpack.packb(whole), RolloutGroup)


def test_per_token_fields_that_disagree_are_refused():
    whole = msgpack.unpackb(encode(a_scored_group().rollout))
    whole["body"]["completions"][0]["token_ids"] = b"\0\0\0\0"
    with pytest.raises(DecodeError, match="must agree"):
        decode(msgpack.packb(whole), RolloutGroup)


def test_an_oversized_message_is_refused_unread(monkeypatch):
    monkeypatch.setattr(codec, "MAX_MESSAGE_BYTES", 10)
    with pytest.raises(DecodeError, match="the most allowed is 10"):
        decode(encode(a_prompt()), Prompt)


def test_a_message_of_another_kind_is_refused():
    with pytest.raises(DecodeError, match="kind is 'prompt'"):
        decode(encode(a_prompt()), WeightsManifest)
