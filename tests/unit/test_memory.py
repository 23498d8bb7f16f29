"""What a process does with memory it has freed, and what it says of its heap."""

import json
import subprocess
import sys

import pytest

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


SIZES = """
import json, numpy as np
from dataclasses import astuple
from openrs_core.memory import heap, keep_freed_memory
assert keep_freed_memory()
looks = [astuple(heap())]
block = np.ones(32 << 20, np.uint8)
looks.append(astuple(heap()))
del block
looks.append(astuple(heap()))
print(json.dumps(looks))
"""


def test_the_heap_tells_what_is_in_use_from_what_is_kept():
    """A block counts as used while it is held, as kept when it is freed."""
    done = subprocess.run([sys.executable, "-c", SIZES], check=True, capture_output=True, text=True)
    before, held, freed = json.loads(done.stdout)
    size, beside = 32 << 20, 1 << 20  # what the looks themselves allocate is far below a MiB
    assert held[0] - before[0] == pytest.approx(size, abs=beside)
    assert freed[0] - before[0] == pytest.approx(0, abs=beside)
    assert freed[1] - held[1] == pytest.approx(size, abs=beside)
