"""How this process handles memory it has freed, and how much of its heap is in use."""

import ctypes
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Heap:
    """Bytes of the C heap of this process. Python's small objects are not in it."""

    used: int
    """Handed out and not freed."""
    kept: int
    """Freed and kept for the next allocation: a process that has once needed much stays large."""


def heap() -> Heap:
    """What glibc says of its heap (mallinfo2(3), glibc 2.33); nothing where there is none."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return Heap(0, 0)
    libc.mallinfo2.restype = _MallInfo
    info = libc.mallinfo2()
    return Heap(used=info.uordblks + info.hblkhd, kept=info.fordblks)


_MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _MallInfo(ctypes.Structure):
    """As malloc.h has it."""

    _fields_ = [(name, ctypes.c_size_t) for name in _MALLINFO.split()]
