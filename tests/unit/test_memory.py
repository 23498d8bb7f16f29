"""What a process does with memory it has freed, and what it says of its heap."""

import subprocess
import sys

import numpy as np

from openrs_core.memory import heap

TRIAL = """
import resource, numpy as np
from openrs_core.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def use():
    block = np.empty(64 << 20, np.uint8)
    block[::4096] = 1
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, keep: bool) -> int:
    """Pages the kernel had to hand out for five uses of a block of 64 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", TRIAL.format(keep=keep)], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def test_a_block_that_was_freed_is_used_again():
    assert faults(keep=True) < faults(keep=False) / 2


def test_the_heap_tells_what_is_in_use_from_what_is_kept():
    """What is used counts while it is held, and no longer; Python's own objects are not in it."""
    size, before = 32 << 20, heap().used
    block = np.ones(size, np.uint8)
    assert size <= heap().used - before < size * 1.1
    del block
    assert heap().used - before < size * 0.1
