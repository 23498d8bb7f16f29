"""The section `sampler`: how vLLM draws completions."""

from openrs_core.recipe.section import Count, Positive, PositiveInt, Section, Share, Tokens


class SamplerSection(Section):
    """vLLM."""

    temperature: Positive = 1.0
    """Of the training completions; the learner divides its logits by the same."""
    max_tokens: Tokens = 4096
    """Longest completion, in tokens."""
    max_sequences: PositiveInt = 256
    """Completions sampled at once by one sampler."""
    kv_cache_mib: Count = 0
    """Key-value cache in MiB; 0: what vLLM finds free (`gpu_memory_share`)."""
    gpu_memory_share: Share = 0.9
    """Share of a GPU's memory vLLM may take."""
    eager: bool = False
    """Skip CUDA graphs and compilation: starts faster, samples slower."""
    tensor_parallel: PositiveInt = 1
    """GPUs that share one copy of the model."""
    check_weights: bool = False
    """Read the weights back out of vLLM after every update and compare them with what was
    published; a difference ends the sampler. Costs a pass over the model each time."""
