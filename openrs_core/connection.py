"""How a process reaches Redis: the only place that makes a client.

redis-py's own defaults retry a command silently, which doubles an XADD whose answer was lost,
and cut any blocking read after five seconds. Both are set on purpose here.
"""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from openrs_core.errors import RunError

BLOCK_SECONDS = 1.0
"""Longest blocking read: how late a process may notice that it should stop."""

ANSWER_SECONDS = 30.0
"""How long any command may take beyond its blocking time before the connection counts as lost."""

LOWEST_VERSION = (7, 0)


def connect(url: str) -> redis.Redis:
    """A client of the Redis at `url` (redis://, rediss:// or unix://), known to answer.

    Raises:
        RunError: the address is no Redis address, nobody answers, or the server is too old
            or evicts keys.
    """
    try:
        client: redis.Redis = redis.Redis.from_url(
            url,
            socket_timeout=BLOCK_SECONDS + ANSWER_SECONDS,
            socket_connect_timeout=5.0,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        info = client.info()
    except ValueError as error:
        raise RunError(f"redis url {_shown(url)}: {error}") from error
    except redis.RedisError as error:
        raise RunError(
            f"redis url {_shown(url)}: no answer ({error}); start Redis there, or set --redis"
        ) from error
    _refuse_unfit(url, info)
    return client


def _refuse_unfit(url: str, info: dict[str, str]) -> None:
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < LOWEST_VERSION:
        raise RunError(f"redis url {_shown(url)}: version {info['redis_version']}, 7.0 is needed")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise RunError(
            f"redis url {_shown(url)}: maxmemory-policy is {policy}, which would lose work; "
            "set it to noeviction"
        )


def _shown(url: str) -> str:
    """The address without its password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else repr(url)
