"""How this process handles memory it has freed."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's mallopt(3)."""

LARGEST_KEPT = 1 << 30
"""Blocks up to this many bytes are kept for the next allocation."""

MOST_KEPT = (1 << 31) - 1
"""Bytes at the end of the heap that may stay unused; mallopt takes no more."""


def keep_freed_memory() -> bool:
    """Have glibc keep large blocks; False where there is no glibc.

    By default it gives each back to the kernel and takes a new one for the next, page by page. On a
    CPU that is a large part of a step of a model whose tensors are some megabytes
    (docs/log.md, 2026-11-24).
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    libc.mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
    libc.mallopt(_M_TRIM_THRESHOLD, MOST_KEPT)
    return True
