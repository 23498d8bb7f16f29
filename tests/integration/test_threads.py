"""How many threads a sampler computes with on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
ASKED = """
from services.sampler.engine import set_up
set_up()
import torch
print(torch.get_num_threads())
"""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
]


@pytest.mark.parametrize(("given", "taken"), [({}, 1), ({"OMP_NUM_THREADS": "2"}, 2)])
def test_a_sampler_takes_one_thread_unless_it_is_told_otherwise(given, taken):
    """Two of them spin each other to a standstill on a busy machine."""
    clean = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    found = subprocess.run(
        [sys.executable, "-c", ASKED], env=clean | given, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert found.stdout == f"{taken}\n", found.stderr
