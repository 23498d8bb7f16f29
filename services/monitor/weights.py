"""`openrs weights RUN`: which versions were published, what they weighed, who is on which.

Read from the run's Redis while there is one; of a finished run, from what its learner recorded.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import redis
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from openrs_core.errors import DecodeError, RunError
from openrs_core.record.directory import METRICS
from openrs_core.record.reader import read_record
from openrs_core.ring.address import address
from openrs_core.ring.connection import connect
from openrs_core.ring.keys import GROUP, Keys
from openrs_core.wire.codec import decode
from openrs_core.wire.messages import WeightsManifest, WeightsTaken
from services.monitor.run import directory_of, redis_of

WIDTH = 110
"""Of the tables, in characters."""


@dataclass(frozen=True, slots=True)
class Published:
    """One publication, and what the samplers that took it say."""

    incarnation: int
    version: int
    form: str
    size: int
    whole_size: int
    values: int
    publish_seconds: float
    samplers: int = 0
    """How many put this version in force, by any form."""
    fetch_seconds: float | None = None
    """Mean over them; None: nobody did."""
    apply_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class OnVersion:
    """The policy a sampler has in force."""

    sampler: str
    incarnation: int
    version: int
    behind: int
    form: str
    delay_seconds: float
    idle_seconds: float | None
    """Since it last spoke to its queue; None: it is not known there."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What is known of a run's weights."""

    run: str
    published: list[Published]
    samplers: list[OnVersion] = field(default_factory=list)
    held_bytes: int = 0
    """Of chunks in Redis."""


def show(run: str, runs: Path, redis_url: str | None, last: int, *, as_json: bool) -> str:
    """The state of a run's weights, as text.

    Raises:
        RunError: neither Redis nor the run's directory knows of weights of this run.
    """
    found = _look(directory_of(run, runs), redis_url)
    if as_json:
        return json.dumps(asdict(found))
    console = Console(width=WIDTH)
    with console.capture() as captured:
        console.print(_tables(found, last))
    return captured.get().rstrip()


def _look(directory: Path, redis_url: str | None) -> Weights:
    url = redis_of(directory, redis_url)
    if url:
        found = from_redis(connect(url), directory.name)
        if found.published:
            return found
    if (directory / METRICS).exists():
        return from_record(directory)
    where = address(url).shown if url else "any Redis"
    raise RunError(
        f"run {directory.name!r}: no weights of it at {where}, and no record in "
        f"{directory}; check the run id, --redis and --runs"
    )


def from_redis(client: redis.Redis, run: str) -> Weights:
    """What a living run says."""
    keys = Keys(run)
    manifests = list(_messages(client, keys.manifests, WeightsManifest))
    notes = list(_messages(client, keys.taken, WeightsTaken))
    by_policy: dict[tuple[int, int], list[WeightsTaken]] = defaultdict(list)
    for note in notes:
        by_policy[note.incarnation, note.version].append(note)
    published = [_published(m, by_policy[m.incarnation, m.version]) for m in manifests]
    newest = manifests[-1].version if manifests else 0
    samplers = _samplers(notes, newest, _idle(client, keys))
    return Weights(run, published, samplers, _held(client, keys, manifests))


def from_record(directory: Path) -> Weights:
    """What the learner recorded of a run whose Redis is gone."""
    published = [
        Published(
            line.incarnation, line.version, line.form, line.size, line.whole_size, line.values,
            line.seconds,
        )
        for line in read_record(directory).weights
    ]  # fmt: skip
    return Weights(directory.name, published)


def _held(client: redis.Redis, keys: Keys, manifests: list[WeightsManifest]) -> int:
    pipeline = client.pipeline(transaction=False)
    for manifest in manifests:
        pipeline.exists(keys.chunks(manifest.incarnation, manifest.payload))
    there = zip(manifests, pipeline.execute(), strict=True)
    return sum(manifest.size for manifest, exists in there if exists)


def _messages(client: redis.Redis, stream: str, kind: type[Any]) -> Iterator[Any]:
    for _, fields in client.xrange(stream):
        try:
            yield decode(fields.get(b"body", b""), kind)
        except DecodeError:  # whoever reads the stream to act on it has said so
            continue


def _published(manifest: WeightsManifest, notes: list[WeightsTaken]) -> Published:
    alike = [note for note in notes if note.form == manifest.form]
    return Published(
        manifest.incarnation, manifest.version, manifest.form, manifest.size, manifest.whole_size,
        manifest.values, manifest.seconds, len(alike),
        fmean(note.fetch_seconds for note in alike) if alike else None,
        fmean(note.apply_seconds for note in alike) if alike else None,
    )  # fmt: skip


def _samplers(notes: list[WeightsTaken], newest: int, idle: dict[str, float]) -> list[OnVersion]:
    latest = {note.sampler: note for note in notes}
    return [
        OnVersion(
            name, note.incarnation, note.version, newest - note.version, note.form,
            note.delay_seconds, idle.get(name),
        )
        for name, note in sorted(latest.items())
    ]  # fmt: skip


def _idle(client: redis.Redis, keys: Keys) -> dict[str, float]:
    try:
        consumers = client.xinfo_consumers(keys.stage("prompts"), GROUP)
    except redis.ResponseError:  # no process has looked at prompts yet
        return {}
    return {found["name"].decode(): found["idle"] / 1000 for found in consumers}


# --- as text -----------------------------------------------------------------------------------


def _tables(found: Weights, last: int) -> RenderableType:
    sent = [p for p in found.published if p.form == "delta"]
    mean = f"{fmean(p.size / p.whole_size for p in sent):.3%} of the model" if sent else "none yet"
    newest = found.published[-1]
    lines = [f"run {found.run}: newest version {_name(newest.incarnation, newest.version)}, "
             f"of {newest.whole_size / 1e6:,.2f} MB; deltas, in the mean: {mean}"]  # fmt: skip
    if found.samplers:
        lines.append(f"held in Redis: {_mb(found.held_bytes)}")
    return Group(Text("\n".join(lines)), _versions(found, last), *_who(found.samplers))


def _versions(found: Weights, last: int) -> Table:
    columns = ["version", "form", "size", "of the model", "values", "publish"]
    columns += ["receive", "apply", "samplers"] if found.samplers else []
    table = Table(*columns, box=None, header_style="dim")
    for each in found.published[-last:]:
        row = [
            _name(each.incarnation, each.version), each.form, _mb(each.size),
            f"{each.size / max(1, each.whole_size):.3%}", f"{each.values:,}",
            _s(each.publish_seconds), _s(each.fetch_seconds), _s(each.apply_seconds),
            str(each.samplers),
        ]  # fmt: skip
        table.add_row(*row[: len(columns)])
    return table


def _who(samplers: list[OnVersion]) -> Iterator[Table]:
    if not samplers:
        return
    table = Table("sampler", "version", "behind", "by a", "after", "last seen", box=None,
                  header_style="dim")  # fmt: skip
    for each in samplers:
        idle = "gone" if each.idle_seconds is None else f"{each.idle_seconds:.0f} s ago"
        table.add_row(
            each.sampler, _name(each.incarnation, each.version), str(each.behind), each.form,
            _s(each.delay_seconds), idle,
        )  # fmt: skip
    yield table


def _name(incarnation: int, version: int) -> str:
    return f"{incarnation}:{version}"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"


def _s(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f} s"
