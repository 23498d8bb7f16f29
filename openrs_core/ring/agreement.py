"""What the processes of one run agree on: its recipe, and which incarnation the learner is."""

import json
import re

import redis

from openrs_core.errors import RunError
from openrs_core.recipe.file import differences
from openrs_core.recipe.ring import RingRecipe
from openrs_core.ring.keys import Keys


def agree(client: redis.Redis, run: str, recipe: RingRecipe) -> None:
    """Make sure that every process of the run holds the same recipe; the first one sets it.

    Raises:
        RunError: the run was begun with another recipe; the message names the keys that differ.
    """
    refuse_odd_name(run)
    ours = recipe.resolved()
    key, told = Keys(run).recipe, json.dumps(ours)
    stored = client.get(key)
    if stored is None:
        client.set(key, told, nx=True)
        stored = client.get(key) or told  # emptied this very moment: it is told again later
    found = differences(ours, json.loads(stored))
    if found:
        raise RunError(
            f"run {run!r} was begun with another recipe: {'; '.join(found)}. "
            "Use the run's recipe, or choose another --run"
        )


def refuse_odd_name(run: str) -> None:
    """Raise RunError when a run id could not be a directory's name and part of a key."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}", run):
        raise RunError(f"--run {run!r}: use letters, digits, `-`, `_` and `.`")


def next_incarnation(client: redis.Redis, run: str, after: int) -> int:
    """Begin a new incarnation, later than `after` even if Redis forgot the last; the first is 1."""
    key = Keys(run).incarnation
    client.set(key, after, nx=True)
    found = int(client.incr(key))
    if found <= after:
        found = after + 1
        client.set(key, found)
    return found
