"""What a run left behind, from two witnesses that know nothing of the ledger.

Redis' append-only file holds every prompt, rollout and scored group that was ever written, and the
run's metrics.jsonl every life of the learner and every step, with the groups it was made of.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openrs_core.errors import DecodeError
from openrs_core.ring.keys import Keys
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import Prompt, RolloutGroup, ScoredGroup
from tests.chaos import aof

Line = dict[str, Any]


@dataclass
class History:
    """Everything that was written, in order."""

    prompts: list[Prompt] = field(default_factory=list)
    """Of training, each as often as it was sent."""

    scored: dict[str, list[ScoredGroup]] = field(default_factory=lambda: defaultdict(list))
    """By group id, in the order they arrived."""

    written: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Unix times at which something was appended, by stage."""

    lines: list[Line] = field(default_factory=list)
    """Of metrics.jsonl."""

    def of(self, kind: str) -> list[Line]:
        """The recorded lines of one kind."""
        return [line for line in self.lines if line["kind"] == kind]


_KINDS: dict[str, type[Prompt] | type[RolloutGroup] | type[ScoredGroup]] = {
    "prompts": Prompt, "rollouts": RolloutGroup, "scored": ScoredGroup,
}  # fmt: skip


def read(run_directory: Path, aof_directory: Path) -> History:
    """The history of a run."""
    history = History()
    text = (run_directory / "metrics.jsonl").read_text(encoding="utf-8")
    history.lines = [json.loads(line) for line in text.splitlines()]
    keys = Keys(run_directory.name)
    streams = {keys.stage(stage).encode(): stage for stage in ("prompts", "rollouts", "scored")}
    for command in aof.commands(aof_directory):
        if len(command) > 3 and command[0].upper() == b"XADD" and command[1] in streams:
            _take(history, streams[command[1]], command[2:])
    return history


def _take(history: History, stage: str, words: Sequence[bytes]) -> None:
    at = next(number for number, word in enumerate(words) if b"-" in word)
    history.written[stage].append(int(words[at].partition(b"-")[0]) / 1000)
    fields = dict(zip(words[at + 1 :: 2], words[at + 2 :: 2], strict=False))
    if stage == "rollouts":
        return
    try:
        message = decode(fields.get(b"body", b""), _KINDS[stage])
    except DecodeError:  # hostile: the ring buries it
        return
    if isinstance(message, Prompt) and message.purpose == "train":
        history.prompts.append(message)
    elif isinstance(message, ScoredGroup):
        history.scored[message.rollout.prompt.group_id].append(message)


def lineage(lines: Iterable[Line]) -> list[Line]:
    """The steps that made the final weights: what a life lost with its checkpoint is void."""
    steps: list[Line] = []
    for line in lines:
        if line["kind"] == "life":
            steps = [step for step in steps if step["version"] <= line["version"]]
        elif line["kind"] == "step":
            steps.append(line)
    return steps
