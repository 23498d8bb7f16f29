"""Entropy in the loss: which tokens carry the policy gradient, and what entropy earns.

    top_entropy_share   only the tokens of highest entropy carry it (80/20 rule, arXiv 2506.01939):
                        those at or above the quantile 1 - share of the whole batch
    entropy_weight      - weight * mean of the entropy, over the tokens that carry the gradient

The quantile is that of the step's batch on all ranks, so it does not depend on the cut. It is known
only when all entropies are: a first pass over all micro-batches without gradient, a forward more.
"""

from collections.abc import Sequence as Many
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from services.learner.trainer.batch import MicroBatch


def with_entropy(
    batches: Many[MicroBatch], engine: Any, share: float, weight: float
) -> list[MicroBatch]:
    """This rank's micro-batches with `carries` and `entropy_weights`, where they are asked for.

    They stay where they are, which need not be the engine's device. Every rank takes part.
    """
    if share == 1.0 and not weight:
        return list(batches)
    carries: list[Tensor] = [torch.ones_like(batch.weights) for batch in batches]
    if share < 1.0:
        with torch.no_grad():
            entropies = [engine(batch.to(engine.device))[1] for batch in batches]
        limit = quantile(_of_all_ranks(torch.cat(entropies)), 1 - share)
        carries = [(each >= limit).to(batches[0].weights) for each in entropies]
    count = torch.cat(carries).sum().to(engine.device)
    dist.all_reduce(count)
    count = count.to(batches[0].weights.device)
    return [
        replace(
            batch,
            carries=each if share < 1.0 else None,
            entropy_weights=weight * each / count if weight else None,
        )
        for batch, each in zip(batches, carries, strict=True)
    ]


def quantile(values: Tensor, at: float) -> Tensor:
    """As `torch.quantile`, linear between two values, but for any number of them; in float64."""
    ordered = values.double().sort().values
    place = at * (len(ordered) - 1)
    low = int(place)
    return torch.lerp(ordered[low], ordered[min(low + 1, len(ordered) - 1)], place - low)


def _of_all_ranks(own: Tensor) -> Tensor:
    """The values of every rank, which may hold differently many."""
    size = torch.tensor([len(own)], device=own.device)
    sizes = [torch.zeros_like(size) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, size)
    longest = int(max(sizes))
    padded = torch.nn.functional.pad(own, (0, longest - len(own)))
    found = [torch.zeros_like(padded) for _ in sizes]
    dist.all_gather(found, padded)
    return torch.cat([part[: int(count)] for part, count in zip(found, sizes, strict=True)])
