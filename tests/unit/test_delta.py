"""A delta leads from one policy to the other bit for bit, or is refused."""

import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openrs_core.errors import WeightsError
from openrs_core.weights import Layout, Snapshot, Tensor
from openrs_core.weights.change import DENSE
from openrs_core.weights.delta import BLOCK, decode, encode
from tests.weights import AWKWARD, SMALL, a_snapshot, after, difference, layouts, pairs

slowly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slowly
@given(pairs())
def test_a_delta_leads_to_the_other_policy_bit_for_bit(pair):
    old, new = pair
    head, body = encode(difference(old, new), old.layout)
    reached = old.copy()
    reached.apply(decode(head, body, old.layout))
    assert reached.buffer.tobytes() == new.buffer.tobytes()
    assert reached.digest() == new.digest()


@slowly
@given(pairs())
def test_applying_a_change_twice_does_no_harm_and_it_can_be_undone(pair):
    old, new = pair
    change = difference(old, new)
    moved, undo = old.copy(), old.before(change)
    moved.apply(change)
    moved.apply(change)
    assert moved.buffer.tobytes() == new.buffer.tobytes()
    moved.apply(undo)
    assert moved.buffer.tobytes() == old.buffer.tobytes()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_bits_are_compared_not_floats(dtype):
    """-0 is not +0, and a NaN equals itself only with the same payload."""
    layout = Layout([Tensor("t", dtype, (1000,))])
    width = layout.tensors[0].width
    old = Snapshot(layout)
    new = after(old, [(0, 7 * n, value) for n, value in enumerate(AWKWARD[width])])
    change = difference(old, new)
    assert change.values == len(AWKWARD[width]) - 1  # the first is +0, as before
    head, body = encode(change, layout)
    old.apply(decode(head, body, layout))
    assert old.buffer.tobytes() == new.buffer.tobytes()


def test_equal_policies_make_an_empty_delta():
    head, body = encode(difference(a_snapshot(3), a_snapshot(3)), SMALL)
    assert body == b""
    assert decode(head, body, SMALL).parts == ()


def test_a_policy_without_tensors_is_one_too():
    empty = Snapshot(Layout([]))
    head, body = encode(difference(empty, empty), empty.layout)
    assert decode(head, body, empty.layout).parts == ()


def test_a_tensor_that_changes_much_is_sent_whole():
    layout = Layout([Tensor("t", "bfloat16", (1000,))])
    few, many = int(DENSE * 1000), int(DENSE * 1000) + 1
    for count, whole in ((few, False), (many, True)):
        new = after(Snapshot(layout), [(0, n, 5) for n in range(count)])
        [part] = difference(Snapshot(layout), new).parts
        assert (part.positions is None) is whole


def test_a_sparse_delta_is_small():
    """0.4 % of a million values: under 1.5 % of the bytes, whatever the values are."""
    layout = Layout([Tensor("t", "bfloat16", (1 << 20,))])
    random = np.random.default_rng(0)
    old = Snapshot(layout, random.integers(0, 256, layout.nbytes, np.uint8))
    new = old.copy()
    chosen = random.choice(1 << 20, (1 << 20) // 250, replace=False)
    new.tensor(0)[chosen] ^= 1
    head, body = encode(difference(old, new), layout)
    assert len(head) + len(body) < 0.015 * layout.nbytes


@slowly
@given(pairs(), st.data())
def test_a_delta_altered_anywhere_never_passes_for_another_policy(pair, data):
    """Behind the checksums of the chunks stand the checks of the delta, and then the digest."""
    old, new = pair
    head, body = encode(difference(old, new), old.layout)
    whole = bytearray(head + body)
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    reached = old.copy()
    try:
        reached.apply(decode(bytes(whole[: len(head)]), bytes(whole[len(head) :]), old.layout))
    except WeightsError:
        return
    same = reached.buffer.tobytes() == new.buffer.tobytes()
    assert same == (reached.digest() == new.digest())


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_noise_is_no_delta(head, body):
    try:
        decode(head, body, SMALL)
    except WeightsError:
        return
    assert msgpack.unpackb(head, use_list=False) == ((), ())  # the one that changes nothing


def a_head(*sections, whole=()):
    return msgpack.packb((sections, whole))


ONE_BLOCK = 4 + 2 + 2  # a count, a gap, a word


@pytest.mark.parametrize(
    ("head", "raw"),
    [
        (a_head((2, 1, ONE_BLOCK, 0)), b""),
        (a_head((2, 1, 10**15, 17)), bytes(8)),
        (a_head((3, 1, ONE_BLOCK, 17)), bytes(8)),
        (a_head((2, 1, ONE_BLOCK, 17)), bytes([2, 0, 0, 0, 0, 0, 0, 0])),  # two in the block
        (a_head((2, 1, ONE_BLOCK, 17)), bytes([1, 0, 0, 0, 40, 0, 0, 0])),  # beyond the end
        (a_head((2, 2, 12, 21)), bytes([2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0])),  # twice the same
        (a_head(whole=(0,)), bytes(3)),
        (a_head(whole=(9,)), bytes(28)),
        (a_head(whole=(-1,)), bytes(80)),
        (a_head(), b"left over"),
        (a_head(("x", None, [], {})), b""),
        (b"", b""),
    ],
)
def test_what_does_not_fit_the_layout_is_refused(head, raw):
    """Nothing is unpacked, allocated or indexed on the word of a damaged or hostile delta."""
    sections = msgpack.unpackb(head)[0] if head else []
    body = zstandard.ZstdCompressor(level=1).compress(raw) if sections else raw
    with pytest.raises(WeightsError):
        decode(head, body, SMALL)


def test_a_frame_that_would_unpack_to_more_than_announced_is_refused_unread():
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 24))
    with pytest.raises(WeightsError, match="the frame says otherwise"):
        decode(a_head((2, 1, ONE_BLOCK, len(bomb))), bomb, SMALL)


@given(layouts)
def test_a_layout_survives_the_wire(layout):
    assert Layout.unpack(layout.packed) == layout


@given(st.binary(max_size=60))
def test_noise_is_no_layout(noise):
    try:
        assert Layout.unpack(noise).packed
    except WeightsError:
        return


def test_the_order_of_the_tensors_does_not_matter():
    one = [Tensor("b", "bfloat16", (2,)), Tensor("a", "float32", (3,)), Tensor("c", "float16", ())]
    assert Layout(one) == Layout(reversed(one))
    assert Layout(one).lengths == {4: 3, 2: 3}


@pytest.mark.parametrize(
    "tensors", [[Tensor("a", "int8", (2,))], [Tensor("a", "float32", (2,))] * 2]
)
def test_a_layout_that_cannot_be_sent_is_refused(tensors):
    with pytest.raises(WeightsError):
        Layout(tensors)


def test_the_digest_tells_layouts_apart():
    """The same bytes as four values or as two times two are different policies."""
    flat, square = (Layout([Tensor("t", "float32", shape)]) for shape in ((4,), (2, 2)))
    assert Snapshot(flat).digest() != Snapshot(square).digest()


def test_positions_in_many_blocks_come_back():
    layout = Layout([Tensor("t", "bfloat16", (5 * BLOCK + 3,))])
    places = [0, BLOCK - 1, BLOCK, 3 * BLOCK - 1, 3 * BLOCK, 5 * BLOCK + 2]
    new = after(Snapshot(layout), [(0, place, 9) for place in places])
    head, body = encode(difference(Snapshot(layout), new), layout)
    [part] = decode(head, body, layout).parts
    assert part.positions.tolist() == places
