"""`openrs dead list|show|requeue`: look at a run's dead letters, and put them back.

What a letter holds is told in `openrs_core/ring/dead_letters.py`. It was written by whoever could
write to Redis, so nothing of it is trusted: texts are shown without control characters.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from openrs_core.errors import RunError
from openrs_core.ring import dead_letters
from openrs_core.ring.connection import connect
from openrs_core.ring.keys import STAGES, Keys
from services.monitor.readable import hex_dump, plain, readable
from services.monitor.run import directory_of, redis_of

WIDTH = 110
"""Of the table, in characters."""

AT_ONCE = 100
"""Letters read by one command to Redis, which serves nobody else meanwhile."""

LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""The latest time that can be shown; an id may claim a later one."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its body."""

    id: str
    when: str
    """When it was buried, UTC."""
    stage: str
    group: str | None
    consumer: str
    size: int
    reason: str
    cut: bool
    """Only the beginning of the body was kept."""


class DeadLetters:
    """The dead letters of one run."""

    def __init__(self, run: str, runs: Path, redis_url: str | None) -> None:
        """Find the run.

        Raises:
            RunError: no Redis is known, or the one that is knows nothing of this run.
        """
        directory = directory_of(run, runs)
        url = redis_of(directory, redis_url)
        self.run, self._keys = directory.name, Keys(directory.name)
        if url is None:
            raise RunError(
                f"run {self.run!r}: {directory} names no Redis; check the run id and --runs, "
                "or give --redis"
            )
        self._client: redis.Redis = connect(url)
        known = [self._keys.recipe, self._keys.buried, *map(self._keys.stage, STAGES)]
        if not self._client.exists(*known):
            self._client.close()
            raise RunError(
                f"run {self.run!r}: Redis knows no such run; check the run id and --redis"
            )

    def __enter__(self) -> "DeadLetters":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def newest_first(self) -> Iterator[Letter]:
        """Every letter, without the bodies."""
        end = "+"
        while found := self._heads(end):
            yield from map(_letter, found)
            end = f"({found[-1][0].decode()}"

    def find(self, letter_id: str) -> tuple[Letter, bytes]:
        """A letter and its body.

        Raises:
            RunError: there is none of this id.
        """
        well_formed = re.fullmatch(r"\d{1,19}-\d{1,19}", letter_id)
        found = self._client.xrange(self._keys.buried, letter_id, letter_id) if well_formed else []
        if not found:
            raise RunError(f"run {self.run!r} has no dead letter {plain(letter_id)!r}")
        head = [part for field in found[0][1].items() if field[0] != b"body" for part in field]
        return _letter([found[0][0], *head]), found[0][1].get(b"body", b"")

    def requeue(self, letter: Letter) -> bool:
        """Put a letter back into its stage, in one step; False when it cannot be (any more)."""
        stage = next((stage for stage in STAGES if stage == letter.stage), None)
        if stage is None or letter.cut:
            return False
        keys = [self._keys.buried, self._keys.stage(stage)]
        return bool(self._client.register_script(dead_letters.REQUEUE)(keys=keys, args=[letter.id]))

    def _heads(self, end: str) -> list[list[bytes]]:
        script = self._client.register_script(dead_letters.HEADS)
        found: list[list[bytes]] = script(keys=[self._keys.buried], args=[end, AT_ONCE])
        return found


def show_list(dead: DeadLetters, last: int, *, as_json: bool) -> str:
    """The newest letters as a table; or all of them, as JSON."""
    if as_json:
        return json.dumps([asdict(letter) for letter in dead.newest_first()])
    shown = list(islice(dead.newest_first(), last + 1))
    if not shown:
        return f"run {dead.run} has no dead letters"
    console = Console(width=WIDTH)
    with console.capture() as captured:
        console.print(_table(shown[:last]))
    more = "\nthere are more; --last N shows the newest N" if len(shown) > last else ""
    return captured.get().rstrip() + more


def show_one(dead: DeadLetters, letter_id: str) -> str:
    """A letter with its message: as JSON where it can be read, else its first bytes."""
    letter, body = dead.find(letter_id)
    known = [f"{field.name:<9}{getattr(letter, field.name)}" for field in fields(letter)]
    message = readable(body)
    return "\n".join([*known, "message", hex_dump(body) if message is None else message])


def put_back(dead: DeadLetters, ids: list[str], *, every: bool) -> Iterator[str]:
    """Put letters back into their stages, and say so of each.

    Raises:
        RunError: one of the ids is no letter that can be put back; then nothing was done.
    """
    if every == bool(ids):
        raise RunError("requeue: give the ids of the letters, or --all")
    chosen = list(dead.newest_first())[::-1] if every else [_whole(dead, name) for name in ids]
    for letter in chosen:
        if obstacle := _obstacle(letter):
            yield f"{letter.id}: left alone, {obstacle}"
        elif dead.requeue(letter):
            group = f"group {letter.group}" if letter.group else "a message without a group"
            yield f"{letter.id}: {group} is in {letter.stage} again"
        else:
            yield f"{letter.id}: it is no longer among the dead letters"


def _whole(dead: DeadLetters, letter_id: str) -> Letter:
    letter, _ = dead.find(letter_id)
    if obstacle := _obstacle(letter):
        raise RunError(f"dead letter {letter_id} cannot be put back: {obstacle}")
    return letter


def _obstacle(letter: Letter) -> str:
    """Why a letter cannot be put back; empty when it can."""
    if letter.stage not in STAGES:
        return "it names no stage of a run"
    if letter.cut:
        return f"of its {letter.size} bytes only the first {dead_letters.CUT_BYTES} were kept"
    return ""


def _letter(head: list[bytes]) -> Letter:
    letter_id, *parts = (part.decode(errors="replace") for part in head)
    told: dict[str, str] = dict(zip(parts[::2], map(plain, parts[1::2]), strict=True))
    seconds = min(int(letter_id.partition("-")[0]) / 1000, LAST_SECOND)
    size = told.get("size", "")
    return Letter(
        id=letter_id,
        when=f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}",
        stage=told.get("stage", ""),
        group=told.get("id"),
        consumer=told.get("consumer", ""),
        size=int(size) if size.isdecimal() else 0,
        reason=told.get("reason", ""),
        cut="cut" in told,
    )


def _table(shown: list[Letter]) -> Table:
    columns = ["when (UTC)", "stage", "group", "consumer", "size", "reason"]
    table = Table(Column("id", no_wrap=True), *columns, box=None, header_style="dim")
    for each in shown:
        size = f"{each.size:,}" + (" (cut)" if each.cut else "")
        row = [
            each.id, each.when, each.stage, each.group or "", each.consumer, size, each.reason
        ]  # fmt: skip
        table.add_row(*map(Text, row))
    return table
