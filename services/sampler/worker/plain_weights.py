"""Keeps the weights on a CPU as they were loaded, where vLLM would pack them.

A packed copy of a tied lm_head would keep serving the old weights after an update, silently, and a
packed parameter cannot be written to. On GPUs vLLM packs no weights of a model that is not
quantised.
"""

import vllm._custom_ops as ops
from vllm.model_executor.layers import utils
from vllm.platforms import current_platform


def keep_weights_plain() -> None:
    """Switch packing off, if this vLLM is one for CPUs; for models that are loaded after it."""
    if current_platform.is_cpu():
        ops._supports_onednn = False
        utils._CPU_SGL_GEMM_MAX_WEIGHT_BYTES = 0  # another packing, of small weights, for AMX
