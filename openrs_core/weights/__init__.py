"""The weight channel: policies from the learner to any number of samplers, through Redis.

    layout     how the tensors of a policy lie in one buffer
    snapshot   one whole policy in memory, and its digest
    change     what differs between two, tensor by tensor
    delta      a change <-> bytes
    chunks     bytes through Redis, with checksums
    store      what of a run's weights is in Redis, and what is removed when
    publisher  the learner's end            route     which payloads lead to the newest policy
    receiver   a sampler's end

A policy is published as what changed since the one before, or whole, or, the first of each life of
the learner, by its digest alone. Bit-exact or refused: every policy that is put in force has the
digest its manifest names.
"""

from openrs_core.weights.change import Change, Part
from openrs_core.weights.layout import Layout, Tensor
from openrs_core.weights.publisher import Publisher
from openrs_core.weights.receiver import Receiver, Update
from openrs_core.weights.snapshot import Snapshot

__all__ = [
    "Change",
    "Layout",
    "Part",
    "Publisher",
    "Receiver",
    "Snapshot",
    "Tensor",
    "Update",
]
