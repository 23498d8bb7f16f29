"""The weight channel: policies from the learner to any number of samplers, through Redis.

    channel   publish a version (chunks first, then the manifest as the commit) · take the newest

Here a policy is opaque bytes; what they mean is between learner and sampler (safetensors).
Every version is sent whole.
"""

from openrs_core.weights.channel import Publisher, Receiver, Snapshot

__all__ = ["Publisher", "Receiver", "Snapshot"]
