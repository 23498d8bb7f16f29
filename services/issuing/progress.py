"""How far something is that takes long: a log line every few seconds."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""Between two lines; what takes less says nothing."""


def reported(items: Iterable[T], doing: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one; the log says meanwhile how many there were."""
    due = time.monotonic() + SECONDS
    for number, item in enumerate(items):
        if (now := time.monotonic()) >= due:
            due = now + SECONDS
            logger.info("%s: %d%s", doing, number, f" of {total}" if total else "")
        yield item
