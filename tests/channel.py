"""Both ends of the weight channel, without a model: a learner that makes versions, a sampler."""

import numpy as np

from openrs_core.ledger import Policy
from openrs_core.ring.keys import Keys
from openrs_core.weights import Layout, Publisher, Receiver, Snapshot, Tensor
from openrs_core.weights.layout import SECTIONS
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import WeightsManifest
from tests.weights import difference

LAYOUT = Layout([Tensor("big", "bfloat16", (300, 40)), Tensor("small", "float32", (100,))])


def a_policy(seed: int = 0) -> Snapshot:
    random = np.random.default_rng(seed)
    return Snapshot(LAYOUT, random.integers(0, 256, LAYOUT.nbytes, np.uint8))


class FakeLearner:
    """Makes versions and publishes them; each changes `share` of the values."""

    def __init__(self, client, run, *, every=100, incarnation=1, version=0, weights=None):
        self.weights = weights or a_policy()
        self.policy = Policy(incarnation, version)
        self.publisher = Publisher(client, run, every)
        self.publisher.begin(self.policy, self.weights.copy())
        self._random = np.random.default_rng(version)

    def step(self, share=0.02, *, wait=True):
        old, self.weights = self.weights, self.weights.copy()
        for width in SECTIONS:
            words = self.weights.section(width)
            words[self._random.random(len(words)) < share] ^= 5
        self.policy = Policy(self.policy.incarnation, self.policy.version + 1)
        self.publisher.publish(self.policy, difference(old, self.weights))
        if wait:
            self.publisher.drain()


class FakeSampler:
    """Takes what it is offered, like an engine, and remembers by which forms it came."""

    def __init__(self, client, run, base=None, name="sampler-0"):
        base = base or a_policy()
        self.weights, self.policy, self.forms = base.copy(), None, []
        self.receiver = Receiver(client, run, name, base)

    def advance(self):
        self.receiver.advance()
        self.take()

    def take(self, seconds=0.0):
        for update in self.receiver.take(seconds):
            self.weights.apply(update.change)
            assert self.weights.digest() == update.digest
            assert self.policy is None or vars_of(update.policy) > vars_of(self.policy)
            self.policy = update.policy
            self.forms.append(update.form)
            self.receiver.note(update, 0.0)


def vars_of(policy):
    return (policy.incarnation, policy.version)


def manifests(client, run_id):
    entries = client.xrange(Keys(run_id).manifests)
    return [decode(fields[b"body"], WeightsManifest) for _, fields in entries]
