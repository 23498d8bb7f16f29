"""Keeps oneDNN from packing weights on a CPU; vLLM imports this in each worker, before it loads.

A packed copy of a tied lm_head would keep serving the old weights after an update, silently, and a
packed parameter cannot be written to.
"""

import vllm._custom_ops as ops

ops._supports_onednn = False


class PlainWeights:
    """Adds nothing to vLLM's worker: importing it is the point."""
