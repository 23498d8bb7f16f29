"""How a process reaches Redis, and what it does while Redis is away: the only place that makes a
client.

redis-py's own defaults give up after some seconds and cut any blocking read after five. Here a
process of the ring tries a command again until it is answered or the process is told to stop. A
command whose answer was lost is then sent twice, so everything the ring sends bears being sent
twice (see `queue` and `weights.chunks`).
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from openrs_core import metrics
from openrs_core.errors import RunError, StoppedError
from openrs_core.ring.address import Address, address, refusal

logger = logging.getLogger(__name__)
T = TypeVar("T")

BLOCK_SECONDS = 1.0
"""Longest blocking read: how late a process may notice that it should stop."""

ANSWER_SECONDS = 30.0
"""How long any command may take beyond its blocking time before the connection counts as lost."""

LONGEST_PAUSE_SECONDS = 0.5
"""Between two attempts to reach a Redis that is away."""

SAY_SECONDS = 15.0
"""How often a process that waits for Redis says so."""

LOWEST_VERSION = (7, 0)


class Patience(Retry):  # type: ignore[misc]  # redis is not followed, see pyproject.toml
    """Tries again until Redis answers; without a `stop` it tries once.

    A server that refuses us (wrong password, untrusted certificate) is not asked again.
    """

    def __init__(self, at: Address, stop: threading.Event | None) -> None:
        super().__init__(NoBackoff(), 0)
        self._at, self._stop, self._lock = at, stop, threading.Lock()
        self._away_since: float | None = None
        self._say_at = 0.0
        self.outages = 0
        """How many times Redis was away and came back."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Patience":
        return self  # redis-py copies it for each connection; they share what is known of Redis

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        """The result of `do`; redis-py's hook for every connection and every command.

        Raises:
            StoppedError: told to stop while Redis is away.
            redis.RedisError: an error that waiting does not mend.
        """
        failures = 0
        while True:
            try:
                result = do()
            except self._supported_errors as error:
                failures += 1
                fail(error, failures) if with_failure_count else fail(error)
                if self._stop is None or refusal(error, self._at if failures == 1 else None):
                    raise
                self._wait(self._stop, error, failures)
            else:
                if failures:
                    self._is_back()
                return result

    def _wait(self, stop: threading.Event, error: Exception, failures: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now >= self._say_at:
                self._say_at = now + SAY_SECONDS
                logger.warning("waiting for Redis at %s: %s", self._at.shown, error)
        if stop.wait(min(LONGEST_PAUSE_SECONDS, 0.02 * 2 ** min(failures, 10))):
            raise StoppedError(f"stopped while Redis at {self._at.shown} was away")

    def _is_back(self) -> None:
        with self._lock:
            if self._away_since is None:  # another connection was first to notice
                return
            away, self._away_since, self._say_at = time.monotonic() - self._away_since, None, 0.0
            self.outages += 1
        metrics.OUTAGES.inc()
        logger.info("Redis at %s is there (%.1f s)", self._at.shown, away)


def outages(client: redis.Redis) -> int:
    """How many times this client's Redis was away and came back; it may have forgotten things."""
    return int(client.get_retry().outages)


def connect(
    url: str, stop: threading.Event | None = None, answer_seconds: float = ANSWER_SECONDS
) -> redis.Redis:
    """A client of the Redis at `url` (redis://, rediss:// or unix://), known to answer.

    With a `stop`, it and every later command wait for a Redis that is not there (yet), until told
    to stop; without, the first failure is an error.

    Raises:
        RunError: the address is no Redis address, nobody answers, the server or we refuse the
            connection, or the server is too old or evicts keys.
        StoppedError: told to stop while waiting.
    """
    at = address(url)
    try:
        client: redis.Redis = redis.Redis.from_url(
            at.shown,
            **at.options,
            socket_timeout=BLOCK_SECONDS + answer_seconds,
            socket_connect_timeout=5.0,
            retry=Patience(at, stop),
            protocol=2,
        )
        info = client.info()
    except redis.RedisError as error:
        if reason := refusal(error, at):
            raise RunError(f"redis url {at.shown}: {reason}") from error
        raise RunError(
            f"redis url {at.shown}: no answer ({error}); start Redis there, or set --redis"
        ) from error
    _refuse_unfit(at.shown, info)
    return client


def when_there_is_room(do: Callable[[], T], stop: threading.Event) -> T:
    """The result of a command that a full Redis refuses; waits until there is room for it.

    Raises:
        StoppedError: told to stop while waiting.
    """
    said = False
    while True:
        try:
            return do()
        except redis.OutOfMemoryError as error:
            if not said:
                logger.warning("Redis is full, raise its maxmemory; waiting for room: %s", error)
            said = True
            if stop.wait(LONGEST_PAUSE_SECONDS):
                raise StoppedError("stopped while Redis was full") from error


def _refuse_unfit(shown: str, info: dict[str, str]) -> None:
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < LOWEST_VERSION:
        raise RunError(f"redis url {shown}: version {info['redis_version']}, 7.0 is needed")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise RunError(
            f"redis url {shown}: maxmemory-policy is {policy}, which would lose work; "
            "set it to noeviction"
        )
