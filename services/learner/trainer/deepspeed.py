"""The training step under DeepSpeed.

One process, or several under DeepSpeed's launcher: rank 0 calls `train`, `save` and `close`, the
others `follow` and do the same work on their share of the micro-batches.

The gradient is accumulated by hand: the boundary is set for every micro-batch, because DeepSpeed
with its own count would drop all but the last.
"""

import math
from collections.abc import Iterator
from collections.abc import Sequence as Many
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import safetensors.torch
import torch.distributed as dist
from torch import Tensor

from openrs_core.recipe.training import TrainingRecipe
from openrs_core.weights import Change, Layout, Snapshot
from services.learner.step import Sequence, StepStats
from services.learner.trainer import optimizer_state, ranks
from services.learner.trainer.batch import MicroBatch, assemble, cut
from services.learner.trainer.configuration import initialize
from services.learner.trainer.difference import Difference, spec
from services.learner.trainer.entropy import with_entropy
from services.learner.trainer.guard import Guard
from services.learner.trainer.loss import Tokens, token_loss
from services.learner.trainer.optimizer_state import Stored
from services.learner.trainer.own_forward import refuse_other_forward
from services.learner.trainer.policy_network import PolicyNetwork, load_policy_network
from services.learner.trainer.reference import Reference
from services.learner.trainer.totals import Totals
from services.model.weights import tensors_of


class DeepSpeedTrainer:
    """The policy, its optimizer, and what they do."""

    def __init__(self, recipe: TrainingRecipe, model: str) -> None:
        ranks.join()
        self._recipe, self._rules = recipe, recipe.learner
        policy = load_policy_network(recipe, model)
        refuse_other_forward(policy, recipe.model.path)
        self._pad = policy.model.config.pad_token_id or 0
        self._tied = policy.model.config.tie_word_embeddings
        self._engine = initialize(policy, recipe)
        optimizer_state.wake(self._engine, self._one_token())
        self._guard = Guard(self._engine)
        self._reference = Reference(self._load_reference(recipe, model))
        self._difference = Difference(self._layout())

    @property
    def rank(self) -> int:
        """0 leads."""
        return dist.get_rank()

    def train(
        self,
        sequences: Many[Sequence],
        lr: float,
        norm_limit: float = math.inf,
        entropy_weight: float = 0.0,
    ) -> StepStats:
        """One optimizer step on the whole batch (rank 0); none if it would do harm."""
        how = {"lr": lr, "norm_limit": norm_limit, "entropy_weight": entropy_weight}
        self._tell({"do": "train", "sequences": sequences, "how": how})
        return self._train(sequences, **how)

    def reset_reference(self) -> None:
        """The policy becomes the reference of the KL (rank 0)."""
        self._tell({"do": "reset"})
        self._reference.reset(self._named())

    def save(self, directory: Path) -> None:
        """Write masters and moments, with the help of every rank (rank 0)."""
        self._tell({"do": "save", "directory": str(directory)})
        self._save(directory)

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote, on every rank (rank 0).

        Raises:
            RunError: nothing is there, or it is of another model.
        """
        stored = Stored(directory)
        stored.check(self._parameters())
        self._tell({"do": "load"})
        self._load(stored)

    def close(self) -> None:
        """Let the other ranks end (rank 0)."""
        self._tell({"do": "close"})
        ranks.leave()

    def follow(self) -> None:
        """Do what rank 0 does, until it closes (the other ranks)."""
        while (order := self._hear())["do"] != "close":
            if order["do"] == "train":
                sequences = [Sequence(*values) for values in order["sequences"]]
                self._train(sequences, **order["how"])
            elif order["do"] == "reset":
                self._reference.reset(self._named())
            elif order["do"] == "save":
                self._save(Path(order["directory"]))
            elif order["do"] == "load":
                self._load(None)
            else:
                for _ in self._named():  # help to gather what rank 0 looks at
                    pass
        ranks.leave()

    def weights(self) -> Snapshot:
        """The policy in the recipe's type; `change` counts from here (rank 0)."""
        self._tell({"do": "gather"})
        return self._difference.begin(self._named())

    def change(self) -> Change:
        """What the steps since `weights` or the last `change` did to the policy (rank 0)."""
        self._tell({"do": "gather"})
        return self._difference.take(self._named())

    def write_model(self, directory: Path) -> None:
        """A plain Hugging Face directory, without the tokenizer (rank 0)."""
        self._tell({"do": "gather"})
        self._write(
            {name: tensor.cpu().contiguous().clone() for name, tensor in self._named()}, directory
        )

    def write_policy(self, policy: Snapshot, directory: Path) -> None:
        """The same of a policy that was published (rank 0, by itself)."""
        self._write(tensors_of(policy), directory)

    def _write(self, tensors: dict[str, Tensor], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(
            tensors, directory / "model.safetensors", metadata={"format": "pt"}
        )
        (directory / "model.safetensors").chmod(0o644)  # like its neighbours, to be shared
        self._engine.module.model.config.save_pretrained(directory)

    # --- every rank ------------------------------------------------------------------------

    def _train(
        self, sequences: Many[Sequence], lr: float, norm_limit: float, entropy_weight: float = 0.0
    ) -> StepStats:
        size, rules = dist.get_world_size(), self._rules
        ours = cut(sequences, rules.tokens_per_micro_batch, size, rules.packing)[self.rank]
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr
        totals = Totals(self._engine.device)
        batches = [assemble(part, rules.packing, self._pad) for part in ours]
        share = self._recipe.algorithm.top_entropy_share
        batches = with_entropy(batches, self._engine, share, entropy_weight)
        for number, batch in enumerate(batches):  # on the device one at a time
            self._engine.set_gradient_accumulation_boundary(number == len(ours) - 1)
            self._backward(batch.to(self._engine.device), totals)
        loss = self._loss_of_all_ranks(totals)
        skipped = self._guard.step(loss=loss, norm_limit=norm_limit)
        return totals.stats(float(self._engine.get_global_grad_norm() or 0.0), skipped)

    def _backward(self, batch: MicroBatch, totals: Totals) -> None:
        """Accumulate one micro-batch's gradient, and count it."""
        bonus = batch.entropy_weights
        logprobs, entropy = self._engine(batch, "value" if bonus is None else "gradient")
        tokens = Tokens(
            batch.behaviour_logprobs,
            batch.advantages,
            batch.sequence,
            reference=self._reference.logprobs(batch),
            carries=batch.carries,
        )
        losses = token_loss(logprobs, tokens, self._recipe.algorithm)
        loss = (losses.loss * batch.weights).sum()
        if bonus is not None:
            loss = loss - (entropy * bonus).sum()
        totals.add(loss, entropy, losses, batch.advantages)
        # Our weights already say what each token counts: an average over ranks is undone
        share = dist.get_world_size() if self._engine.gradient_average else 1
        self._engine.backward((loss + 0 * logprobs.sum()) * share)

    def _loss_of_all_ranks(self, totals: Totals) -> float:
        totals.over_all_ranks()
        return totals.loss

    def _load_reference(self, recipe: TrainingRecipe, model: str) -> PolicyNetwork | None:
        """A frozen copy of the base model, only where the loss asks for it."""
        if not recipe.algorithm.kl_weight:
            return None
        return (
            load_policy_network(recipe, model).to(self._engine.device).eval().requires_grad_(False)
        )

    def _save(self, directory: Path) -> None:
        optimizer_state.save(self._engine, self._parameters(), directory)
        if self.rank == 0:
            self._reference.save(directory)

    def _load(self, stored: Stored | None) -> None:
        optimizer_state.load(self._engine, self._parameters(), stored, self._one_token())
        self._reference.load(stored.directory if stored else None)

    def _one_token(self) -> MicroBatch:
        """The smallest batch there is."""
        one = Sequence((self._pad,), (self._pad,), (0.0,), advantage=0.0, weight=0.0)
        return assemble([one], self._rules.packing, self._pad).to(self._engine.device)

    def _parameters(self) -> Iterator[tuple[str, Any]]:
        for name, parameter in self._engine.module.model.named_parameters():
            if not (self._tied and name == "lm_head.weight"):
                yield name, parameter

    def _layout(self) -> Layout:
        """ZeRO-3 leaves a parameter's own shape in `ds_shape`."""
        return Layout(
            spec(name, parameter, getattr(parameter, "ds_shape", parameter.shape))
            for name, parameter in self._parameters()
        )

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor under the model's own name; with ZeRO-3 gathered, one at a time."""
        for name, parameter in self._parameters():
            with self._whole(parameter):
                yield name, parameter.detach()

    def _whole(self, parameter: Any) -> AbstractContextManager[Any]:
        if self._rules.zero_stage < 3:
            return nullcontext()
        import deepspeed

        gathered: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters([parameter])
        return gathered

    def _tell(self, order: dict[str, Any]) -> None:
        ranks.tell(order, self._engine.device)

    def _hear(self) -> dict[str, Any]:
        return ranks.hear(self._engine.device)
