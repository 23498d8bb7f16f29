"""On a CPU vLLM's linear layers go on from the weights they have now, not from a packed copy."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.arithmetic, pytest.mark.timeout(120)]

TRIAL = """
import torch
torch.cpu._is_amx_tile_supported = lambda: {amx}
from services.sampler.worker.plain_weights import keep_weights_plain
from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
keep_weights_plain()
for rows in (64, 4096):  # below and above what vLLM would pack for AMX
    for dtype in (torch.bfloat16, torch.float32):
        layer = torch.nn.Module()
        weight = torch.nn.Parameter(torch.ones(rows, 256, dtype=dtype), requires_grad=False)
        layer.weight = weight
        dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
        assert layer.weight is weight, (rows, dtype)
        weight.fill_(2)
        made = layer.cpu_linear(torch.ones(3, 256, dtype=dtype), weight, None)
        assert made.unique().tolist() == [512], (rows, dtype, made)
"""


@pytest.mark.parametrize("amx", [False, True], ids=["a CPU without AMX", "a CPU with AMX"])
def test_a_layer_computes_with_the_weights_it_was_given_last(amx):
    """AMX is pretended: vLLM asks for it when it decides what to pack, not when it packs."""
    done = subprocess.run(
        [sys.executable, "-c", TRIAL.format(amx=amx)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
