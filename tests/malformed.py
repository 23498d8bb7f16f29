"""Stream entries that are no messages, or not the ones they should be."""

from typing import Any

import msgpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrs_core.ring.keys import Stage
from openrs_core.wire.codec import SCHEMA, encode
from openrs_core.wire.messages import Prompt, RolloutGroup, ScoredGroup
from tests.builders import a_group, a_manifest, a_prompt, a_scored_group
from tests.strategies import prompts, rollout_groups, scored_groups

Entry = dict[str, bytes]

KINDS: dict[Stage, Any] = {"prompts": Prompt, "rollouts": RolloutGroup, "scored": ScoredGroup}
"""What each stage carries."""

GOOD: dict[Stage, bytes] = {
    "prompts": encode(a_prompt("1.1")),
    "rollouts": encode(a_group(a_prompt("1.2"))),
    "scored": encode(a_scored_group(a_prompt("1.3"))),
}

EXTREME: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**53, 2**63, 2**64 - 1, 0.5, float("nan"), float("inf"), -1e308,
    "", "x" * 100_000, "\0", b"", b"\xff" * 400, [], {}, [[]] * 2000, {"a": {"b": {}}}, ["x"],
]  # fmt: skip

BY_HAND = [
    b"", b"\0", b"\xc1", b"null", b"{}", b"\x80", b"\x90", b"\xff" * 1000, b"PICKLE\x80\x04.",
    b"\xdd\x80\0\0\0", b"\xdf\x80\0\0\0", b"\xdb\x80\0\0\0", b"\xc6\x80\0\0\0",
    b"\x91" * 10_000 + b"\1", b"\x81\xa1a" * 1000 + b"\1", b"\xdc\x40\0" * 1000,
    b"\xc7\x01\x05x", b"\xd6\xff\0\0\0\0", bytes(2 << 20), b"\x80\x04\x95K\x01.",
    msgpack.packb({"schema": SCHEMA}), msgpack.packb({"schema": [[]], "kind": {"a": 1}}),
    msgpack.packb({"schema": SCHEMA, "kind": "prompt", "body": None}),
    msgpack.packb({"schema": SCHEMA, "kind": "prompt\n\x1b[2J" * 9, "body": {}}),
    encode(a_manifest(1)),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a message."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, below in inner:
        found.append((*path, key))
        if isinstance(below, dict | list):
            found += places(below, (*path, key))
    return found


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """What lies there."""
    for key in path:
        value = value[key]
    return value


@st.composite
def bent(draw: st.DrawFn, good: bytes) -> bytes:
    """A good message with a value replaced, dropped, or exchanged with another one."""
    whole = msgpack.unpackb(good)
    ways = places(whole)
    path, other = draw(st.sampled_from(ways)), draw(st.sampled_from(ways))
    holder, key = at(whole, path[:-1]), path[-1]
    how = draw(st.sampled_from(["extreme", "extreme", "extreme", "dropped", "exchanged"]))
    if how == "dropped":
        del holder[key]
    elif how == "extreme":
        holder[key] = draw(st.sampled_from(EXTREME))
    elif path != other[: len(path)] and other != path[: len(other)]:
        there = at(whole, other[:-1])
        holder[key], there[other[-1]] = there[other[-1]], holder[key]
    return msgpack.packb(whole)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A good message with bytes altered, missing, or too many."""
    how = draw(st.sampled_from(["altered", "altered", "cut", "longer", "spliced"]))
    place = draw(st.integers(0, len(good) - 1))
    if how == "cut":
        return good[:place]
    if how == "longer":
        return good + draw(st.binary(min_size=1, max_size=20))
    if how == "spliced":
        return good[:place] + good[draw(st.integers(0, len(good) - 1)) :]
    body = bytearray(good)
    for where in [place, *draw(st.lists(st.integers(0, len(good) - 1), max_size=5))]:
        body[where] = draw(st.integers(0, 255))
    return bytes(body)


def entries(stage: Stage) -> st.SearchStrategy[Entry]:
    """Of one stage: mostly malformed; some well-formed, which nobody asked for."""
    good, strangers = GOOD[stage], {
        "prompts": prompts, "rollouts": rollout_groups(), "scored": scored_groups(),
    }  # fmt: skip
    body = st.one_of(
        bent(good), bent(good), bent(good), bent(good), damaged(good), damaged(good),
        st.binary(max_size=60), st.sampled_from(list(GOOD.values())), strangers[stage].map(encode),
    )  # fmt: skip
    whole = body.map(lambda made: {"body": made, "id": b"1.1"})
    odd = body.map(lambda made: {"body": made, "id": b"\xff\xfe" * 200, "x": b"y"})
    return st.one_of(whole, whole, whole, whole, odd, body.map(lambda made: {"body": made}),
                     st.sampled_from([{"id": b"1.1"}, {"x": b"y"}, {"": b""}]))  # fmt: skip


def made(stage: Stage, count: int) -> list[Entry]:
    """As many, the same at every call; and those that were thought of by hand."""
    found: list[Entry] = [{"body": body, "id": b"1.1"} for body in BY_HAND]

    @settings(max_examples=count, database=None, deadline=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(entries(stage))
    def collect(entry: Entry) -> None:
        found.append(entry)

    collect()
    return found
