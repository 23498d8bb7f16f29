"""The weight channel when Redis forgets, is full, or belongs to another learner."""

import pytest

from openrs_core.errors import FencedError
from openrs_core.ledger import Policy
from openrs_core.ring.keys import Keys
from tests.channel import FakeSampler, a_policy, manifests
from tests.conftest import wait_until

pytestmark = pytest.mark.redis


def test_a_redis_that_forgot_the_weights_is_given_them_whole(start, client, run_id):
    """Emptied under a running learner: the newest policy is there again, for old and new samplers.

    Only a whole copy leads on from nothing; a sampler that has the policy already takes nothing.
    """
    learner, old = start[0](), start[1](name="old")
    learner.step()
    old.advance()
    client.flushall()
    wait_until(lambda: manifests(client, run_id), "the weights again")
    [again] = manifests(client, run_id)
    assert (again.form, again.version) == ("snapshot", 1)
    late = FakeSampler(client, run_id, base=a_policy(9))
    late.advance()
    old.advance()
    assert late.policy == old.policy == Policy(1, 1)
    learner.step()
    for sampler in (old, late):
        wait_until(lambda one=sampler: one.advance() or one.policy == Policy(1, 2), "the next one")
        assert sampler.weights.digest() == learner.weights.digest()


def test_weights_wait_while_redis_is_full_and_are_published_when_it_has_room(start, client):
    learner = start[0]()
    client.config_set("maxmemory", 1)
    try:
        learner.step(wait=False)
        wait_until(lambda: learner.publisher.is_full, "a publisher that waits")
        assert not learner.publisher.drain(seconds=0.0)
        assert learner.publisher.published == Policy(1, 0)
    finally:
        client.config_set("maxmemory", 0)
    wait_until(lambda: learner.publisher.drain(seconds=0.1), "the version that waited")
    assert (learner.publisher.published, learner.publisher.is_full) == (Policy(1, 1), False)


def test_a_fenced_learner_publishes_no_weights(start, client, run_id):
    learner = start[0]()
    client.incr(Keys(run_id).incarnation)
    with pytest.raises(FencedError, match="another learner has taken over"):
        learner.step()
    assert [m.version for m in manifests(client, run_id)] == [0]
