"""Publishing and taking policies.

A version's chunks go to a stream of their own, each with its checksum in the manifest; the
manifest is appended to the run's manifest stream last. So a reader never sees half a version,
and what it reads equals what was written, or is refused. A version never decreases within an
incarnation, and an incarnation never decreases.
"""

import time
from dataclasses import dataclass

import redis
from blake3 import blake3

from openrs_core.codec import decode, encode
from openrs_core.errors import WeightsError
from openrs_core.keys import Keys
from openrs_core.messages import WeightsManifest

CHUNK_BYTES = 4 * 1024 * 1024 - 4096
"""Redis' allocator rounds an exact power of two up by a quarter, and larger values are slower."""

KEPT_VERSIONS = 2
"""The newest, and the one a reader may still be in the middle of."""

RETRY_SECONDS = 1.0

KEPT_MANIFESTS = 64
"""Length of the manifest stream: what a person may want to look back at."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One whole policy."""

    incarnation: int
    version: int
    data: bytes | bytearray


class Publisher:
    """The learner's end."""

    def __init__(self, client: redis.Redis, run: str) -> None:
        self._client, self._keys = client, Keys(run)
        self._kept: list[str] = []

    def publish(self, snapshot: Snapshot) -> WeightsManifest:
        """Make a policy visible to samplers; returns when it is."""
        key = self._keys.chunks(snapshot.incarnation, snapshot.version)
        view = memoryview(snapshot.data)
        chunks = [view[i : i + CHUNK_BYTES] for i in range(0, len(view), CHUNK_BYTES)]
        self._client.delete(key)  # a life that died while publishing may have left some
        for chunk in chunks:
            self._client.xadd(key, {"chunk": bytes(chunk)})
        manifest = WeightsManifest(
            incarnation=snapshot.incarnation,
            version=snapshot.version,
            size=len(view),
            checksums=tuple(blake3(chunk).hexdigest() for chunk in chunks),
            digest=blake3(view).hexdigest(),
        )
        self._client.xadd(
            self._keys.manifests,
            {"body": encode(manifest)},
            maxlen=KEPT_MANIFESTS,
            approximate=False,
        )
        self._remove_superseded(key)
        return manifest

    def _remove_superseded(self, newest: str) -> None:
        self._kept.append(newest)
        while len(self._kept) > KEPT_VERSIONS:
            self._client.unlink(self._kept.pop(0))

    def remove_foreign(self) -> None:
        """Remove the chunks that an earlier life of the learner left behind."""
        pattern = f"{self._keys.manifests}:*"
        for key in self._client.scan_iter(match=pattern, count=1000):
            if key.decode() not in self._kept:
                self._client.unlink(key)


class Receiver:
    """A sampler's end."""

    def __init__(self, client: redis.Redis, run: str) -> None:
        self._client, self._keys = client, Keys(run)
        self._settled = b""
        self._offered, self._retry_at = b"", 0.0
        self.in_force: tuple[int, int] | None = None
        """(incarnation, version) last handed out."""

    def newer(self) -> WeightsManifest | None:
        """The newest manifest, if its policy is newer than the one in force.

        One that could not be fetched is offered again after RETRY_SECONDS.

        Raises:
            DecodeError: the newest entry is no manifest.
        """
        entries = self._client.xrevrange(self._keys.manifests, count=1)
        if not entries or entries[0][0] == self._settled:
            return None
        entry_id, fields = entries[0]
        if entry_id == self._offered and time.monotonic() < self._retry_at:
            return None
        self._offered, self._retry_at = entry_id, time.monotonic() + RETRY_SECONDS
        manifest = decode(fields[b"body"], WeightsManifest)
        if self.in_force and (manifest.incarnation, manifest.version) <= self.in_force:
            self._settled = entry_id
            return None
        return manifest

    def fetch(self, manifest: WeightsManifest) -> Snapshot:
        """The whole policy that a manifest names.

        Raises:
            WeightsError: a chunk is missing (superseded meanwhile), altered or out of order.
        """
        data = bytearray()
        key = self._keys.chunks(manifest.incarnation, manifest.version)
        last = "-"
        for number, checksum in enumerate(manifest.checksums):
            entries = self._client.xrange(key, min=last, count=1)
            if not entries:
                raise WeightsError(f"version {manifest.version}: chunk {number} is missing")
            entry_id, fields = entries[0]
            last = f"({entry_id.decode()}"
            chunk = fields.get(b"chunk", b"")
            if blake3(chunk).hexdigest() != checksum:
                raise WeightsError(f"version {manifest.version}: chunk {number} was altered")
            data += chunk
        if len(data) != manifest.size or blake3(data).hexdigest() != manifest.digest:
            raise WeightsError(f"version {manifest.version}: the whole does not match its digest")
        self.in_force = (manifest.incarnation, manifest.version)
        self._settled = self._offered
        return Snapshot(manifest.incarnation, manifest.version, data)
