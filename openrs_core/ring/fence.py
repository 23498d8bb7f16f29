"""The fence around what a learner writes: nothing, once a later life of it has begun.

A lease alone is not enough: a learner that was paused for longer than its lease wakes up and does
not know that another has taken its place. So the learner's incarnation, which each new life counts
up, is a fencing token: whatever a learner writes that others act upon, it writes by a script that
first looks whether a later life has begun.
"""

from openrs_core.errors import FencedError

UNFENCED = 2**53
"""The incarnation of a writer that no learner can follow."""

FENCE = f"""
local latest = redis.call('GET', KEYS[1])
if latest and tonumber(latest) > tonumber(ARGV[1]) then return -1 end
if not latest and tonumber(ARGV[1]) < {UNFENCED} then redis.call('SET', KEYS[1], ARGV[1]) end
"""
"""Begin of a script whose first key is `Keys.incarnation` and first argument the writer's own. A
Redis that has forgotten the incarnation is told."""


def refuse_fenced(answer: object, run: str, incarnation: int) -> None:
    """Raise FencedError when a fenced script has written nothing."""
    if answer == -1:
        raise FencedError(
            f"run {run!r}: another learner has taken over; this one, incarnation {incarnation}, "
            "stops"
        )
