"""From the weights at hand to the newest policy: connected, never backwards, in few bytes."""

from hypothesis import given
from hypothesis import strategies as st

from openrs_core.ledger import Policy
from openrs_core.weights.route import find_route, is_newer, policy_of
from tests.builders import a_manifest


def named(manifests):
    return [(m.form, m.version) for m in manifests]


def test_a_sampler_follows_delta_by_delta():
    line = [a_manifest(0, "named"), *(a_manifest(v) for v in (1, 2, 3))]
    assert named(find_route(line, "d1", Policy(1, 1))) == [("delta", 2), ("delta", 3)]


def test_versions_that_were_never_published_are_no_gap():
    """A delta names the weights it begins with, not the version before."""
    line = [a_manifest(0, "named"), a_manifest(1), a_manifest(4, base="d1", payload=2)]
    assert named(find_route(line, "d0", Policy(1, 0))) == [("delta", 1), ("delta", 4)]


def test_nothing_is_to_be_done_when_the_newest_is_in_force():
    assert find_route([a_manifest(0, "named"), a_manifest(1)], "d1", Policy(1, 1)) == []
    assert find_route([], "d1", None) == []


def test_who_has_the_base_model_needs_its_name_only():
    assert named(find_route([a_manifest(0, "named")], "d0", None)) == [("named", 0)]


def test_who_has_other_weights_finds_no_route_without_a_snapshot():
    line = [a_manifest(0, "named"), a_manifest(1)]
    assert find_route(line, "other", None) is None


def test_who_joins_takes_the_newest_snapshot_and_what_came_after():
    line = [
        a_manifest(0, "named"), a_manifest(1), a_manifest(1, "snapshot", payload=2, size=100),
        a_manifest(2, payload=3), a_manifest(2, "snapshot", payload=4, size=100),
        a_manifest(3, payload=5),
    ]  # fmt: skip
    assert named(find_route(line, "other", None)) == [("snapshot", 2), ("delta", 3)]


def test_a_long_way_of_deltas_gives_way_to_a_snapshot_that_weighs_less():
    deltas = [a_manifest(v, size=30) for v in range(1, 6)]
    line = [a_manifest(0, "named"), *deltas, a_manifest(5, "snapshot", payload=6, size=100)]
    assert named(find_route(line, "d1", Policy(1, 1))) == [("snapshot", 5)]
    assert named(find_route(line, "d2", Policy(1, 2))) == [("delta", v) for v in (3, 4, 5)]


def test_an_older_snapshot_is_never_a_way_out():
    """Version 6 is damaged and only version 4 is there whole: stay at 5, and ask."""
    line = [
        a_manifest(4), a_manifest(4, "snapshot", payload=40), a_manifest(5), a_manifest(6),
    ]  # fmt: skip
    assert find_route(line, "d5", Policy(1, 5), refused={(1, 6)}) is None


def test_what_is_no_longer_in_redis_is_no_part_of_a_route():
    line = [a_manifest(v) for v in (1, 2, 3)] + [a_manifest(4, oldest_payload=3)]
    assert find_route(line, "d1", Policy(1, 1)) is None
    assert named(find_route(line, "d2", Policy(1, 2))) == [("delta", 3), ("delta", 4)]


def test_after_a_restart_whoever_stands_where_it_begins_again_needs_only_the_name():
    line = [a_manifest(5), a_manifest(6), a_manifest(5, "named", incarnation=2, payload=1)]
    assert named(find_route(line, "d5", Policy(1, 5))) == [("named", 5)]


def test_after_a_restart_who_was_further_on_asks():
    """The steps it saw are lost: no delta of the new life begins at its weights."""
    line = [
        a_manifest(6), a_manifest(7), a_manifest(5, "named", incarnation=2, payload=1),
        a_manifest(6, incarnation=2, digest="e6", payload=1),
    ]  # fmt: skip
    assert find_route(line, "d7", Policy(1, 7)) is None
    assert find_route(line, "d6", Policy(1, 6)) is None


def test_a_step_that_changed_nothing_is_a_version_all_the_same():
    line = [a_manifest(1, digest="d0"), a_manifest(2, base="d0", digest="d0")]
    assert named(find_route(line, "d0", Policy(1, 0))) == [("delta", 1), ("delta", 2)]


manifests = st.builds(
    a_manifest,
    version=st.integers(0, 6),
    form=st.sampled_from(["named", "delta", "snapshot"]),
    incarnation=st.integers(1, 2),
    size=st.integers(0, 100),
    digest=st.sampled_from("abc"),
    base=st.sampled_from("abc"),
    payload=st.integers(0, 8),
    oldest_payload=st.integers(0, 4),
)
policies = st.none() | st.builds(Policy, st.integers(1, 2), st.integers(0, 6))
names = st.tuples(st.integers(1, 2), st.integers(0, 8))


@given(st.lists(manifests, max_size=8), st.sampled_from("abc"), policies, st.sets(names))
def test_whatever_is_published_a_route_is_sound(line, digest, in_force, refused):
    """Each step begins where the last ended, goes forward, avoids what was refused, and arrives."""
    route = find_route(line, digest, in_force, refused)
    if not route:
        return
    for step in route:
        begins = {"delta": step.base, "named": step.digest, "snapshot": digest}[step.form]
        assert begins == digest
        assert is_newer(policy_of(step), in_force)
        assert (step.incarnation, step.payload) not in refused
        digest, in_force = step.digest, policy_of(step)
    assert not any(is_newer(policy_of(manifest), in_force) for manifest in line)
