"""The frozen policy that the KL term measures from: the base model, or what it was reset to.

A reset is a hard copy of the policy (ProRL, arXiv 2505.24864). ProRL also clears the optimizer's
moments then; here they stay, for they belong to the policy, which does not move.

    reference.safetensors    in a checkpoint, once it was reset; before, it is the base model
"""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from services.learner.trainer.batch import MicroBatch
from services.learner.trainer.policy_network import PolicyNetwork

FILE = "reference.safetensors"


class Reference:
    """A copy of the policy on every rank, whole, that is not trained; or none."""

    def __init__(self, network: PolicyNetwork | None) -> None:
        self._network = network
        self._was_reset = False

    def logprobs(self, batch: MicroBatch) -> Tensor | None:
        """Of each scored token, [N]; None where there is no reference."""
        if self._network is None:
            return None
        with torch.no_grad():
            logprobs: Tensor = self._network(batch, entropy="none")[0]
            return logprobs

    def reset(self, named: Iterable[tuple[str, Tensor]]) -> None:
        """Become the policy, given by the model's own names (every rank)."""
        ours = self._parameters()
        for name, tensor in named:
            ours[name].copy_(tensor)
        self._was_reset = True

    def save(self, directory: Path) -> None:
        """Write it, if it is no longer the base model (rank 0).

        Raises:
            OSError, SafetensorError: it could not be written.
        """
        if self._was_reset:
            tensors = {name: t.cpu().contiguous() for name, t in self._parameters().items()}
            save_file(tensors, directory / FILE)

    def load(self, directory: Path | None) -> None:
        """Restore what `save` wrote, if it did (every rank; rank 0 says where)."""
        if self._network is None:
            return
        path = directory / FILE if directory else None
        device = next(iter(self._parameters().values())).device
        there = torch.tensor([int(path is not None and path.exists())], device=device)
        dist.broadcast(there, src=0)
        self._was_reset = bool(there)
        if not self._was_reset:
            return
        for name, tensor in self._parameters().items():
            if path:
                with safe_open(path, "pt") as file:
                    tensor.copy_(file.get_tensor(name))
            dist.broadcast(tensor, src=0)

    def _parameters(self) -> dict[str, Tensor]:
        """Each once: of two that are tied, the first."""
        if self._network is None:
            return {}
        return {name: p.detach() for name, p in self._network.model.named_parameters()}
