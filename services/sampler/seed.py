"""The seed of a sampler: from the run's and its own name, so that no two draw the same numbers."""

import zlib


def own_seed(seed: int, name: str) -> int:
    """Below 2**32, as vLLM wants it, whatever the recipe's is; the same for the same name."""
    return zlib.crc32(f"{seed}/{name}".encode())
