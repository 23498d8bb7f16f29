"""Steps computed in every way by real DeepSpeed, and what was seen of them.

    observe(count, model, directory)    starts so many ranks (gloo) and waits for them
    WAY.npz                             a way's gradient, by parameter, before it is scaled down
    WAY.json                            its statistics; the norm of the gradient that AdamW got;
                                        in bfloat16 how many roundings its sum is off by; how many
                                        parameters kept a gradient of their own

`python tests/observed.py MODEL DIRECTORY` is one rank.
"""

import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from openrs_core.recipe.training import TrainingRecipe
from services.learner.algorithm.aggregation import token_weights
from services.learner.step import Sequence
from services.learner.trainer import ranks
from services.learner.trainer.batch import MicroBatch, Packing
from services.learner.trainer.deepspeed import DeepSpeedTrainer
from services.learner.trainer.policy_network import PolicyNetwork
from services.learner.trainer.totals import Totals
from tests.ranks import run_ranks
from tests.tiny_model import tiny_recipe

UNIT = 2.0**-24
"""Rounding to float32 changes a value by at most this share of it."""

TEMPERATURE = 0.7
LARGEST = 320
"""Tokens in the longest sequence at most, as the recipe has it."""
MOST_NORM = 0.01
"""Gradients are scaled down to this norm: that of every way is far larger."""
MANY = 64
"""Micro-batches of the step in bfloat16, over all ranks."""


@dataclass(frozen=True)
class Way:
    """One way to compute the step."""

    zero_stage: int
    packing: Packing
    budget: int
    boundary: Literal["last", "every", "first"] = "last"
    """Which micro-batch is taken for the last; every one: as with a boundary DeepSpeed counts."""
    dtype: str = "float32"
    option: str = ""

    def __str__(self) -> str:
        """As files and reports name it."""
        way = f"{self.dtype}-zero{self.zero_stage}-{self.packing}-{self.budget}-{self.boundary}"
        return f"{way}-{self.option}" if self.option else way


STAGES = (1, 2, 3)

RIGHT = [Way(*parts) for parts in product(STAGES, ("padded", "packed"), (10**6, 700, LARGEST, 1))]
"""From everything at once to one sequence at a time (odd in number: with two ranks, one idles)."""
RIGHT += [Way(stage, "shared", budget) for stage, budget in ((1, 10**6), (1, 1), (2, 700), (3, 1))]

OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "sequence_ratio": {"loss": "clip", "ratio_level": "sequence", "dual_clip": 0.0},
    "opsm": {"opsm_delta": 0.05},  # of three bad sequences one is above it, by 0.04
    "kl_with_ratio": {"kl_with_ratio": True},
    "entropy": {"top_entropy_share": 0.2, "entropy_weight": 0.3},
}
"""Options of the loss that see more than one token."""

OPTIONAL = [
    Way(*parts, option=option)
    for option in OPTIONS
    if option
    for parts in [(1, "padded", 10**6), (1, "packed", 1), (2, "packed", LARGEST), (3, "padded", 1)]
]

WRONG = [Way(stage, "padded", 1, "every") for stage in (1, 2)]

SUMMED = [Way(stage, "padded", 1, dtype="bfloat16") for stage in STAGES]

WRONG_SUM = [Way(1, "padded", 1, boundary, "bfloat16") for boundary in ("every", "first")]
"""With ZeRO-2 and 3 every micro-batch is reduced: the boundary has no say in the gradient."""


def recipe(model: str, zero_stage: int, dtype: str = "float32", option: str = "") -> TrainingRecipe:
    learner = {
        "zero_stage": zero_stage,
        "tokens_per_micro_batch": LARGEST,
        "max_grad_norm": MOST_NORM,
    }
    sampler, algorithm = {"temperature": TEMPERATURE}, {}
    if dtype == "float32":
        algorithm = {"kl_weight": 0.1} | OPTIONS[option]
    return tiny_recipe(model, dtype, sampler=sampler, learner=learner, algorithm=algorithm)


def step_batch() -> list[Sequence]:
    """Two groups of mixed length, off-policy enough for some tokens to meet the cap.

    Some have a prompt in common.
    """
    draw = torch.Generator().manual_seed(0)
    lengths = [[3, 60, 25, 41], [1, 17, 200]]
    weights = token_weights(lengths, "token", max_tokens=200)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 260, (count,), generator=draw).tolist())

    batch = [
        Sequence(
            prompt=tokens(5 + length % 7),
            completion=tokens(length),
            behaviour_logprobs=tuple((-4 - 4 * torch.rand(length, generator=draw)).tolist()),
            advantage=1.5 - number,
            weight=weight,
        )
        for group, row in zip(lengths, weights, strict=True)
        for number, (length, weight) in enumerate(zip(group, row, strict=True))
    ]
    return [replace(each, prompt=batch[n - n % 2].prompt) for n, each in enumerate(batch)]


def many() -> list[Sequence]:
    """Short sequences that push one way and the other: their gradients largely cancel."""
    draw = torch.Generator().manual_seed(0)
    return [
        Sequence(
            prompt=(5, 6, 7),
            completion=tuple(torch.randint(3, 260, (12,), generator=draw).tolist()),
            behaviour_logprobs=tuple((-4 - 4 * torch.rand(12, generator=draw)).tolist()),
            advantage=1.5 - number % 4,
            weight=1 / (12 * MANY),
        )
        for number in range(MANY)
    ]


def observe(count: int, model: str, directory: Path) -> None:
    """Start the ranks and wait for them to end."""
    run_ranks(count, __file__, model, str(directory), logs=directory)


def other_model(model: str) -> str:
    """Where the reference of the KL is."""
    return f"{model}/reference"


def facts(directory: Path, way: Way) -> dict[str, Any]:
    """What is in WAY.json."""
    found: dict[str, Any] = json.loads((directory / f"{way}.json").read_text())
    return found


def error(found: Any, exact: dict[str, np.ndarray]) -> float:
    """Norm of the difference of two gradients over that of the second, which is exact."""
    far = norm({name: found[name] - value for name, value in exact.items()})
    return far / norm(exact)


def norm(gradient: dict[str, np.ndarray]) -> float:
    """Root of the sum of all squares."""
    return math.sqrt(sum(float((value**2).sum()) for value in gradient.values()))


# --- what a rank does --------------------------------------------------------------------------


class Observed(DeepSpeedTrainer):
    """Computes a step, at learning rate 0, and writes down its gradient."""

    def __init__(self, model: str, stage: int, dtype: str) -> None:
        super().__init__(recipe(model, stage, dtype), model)
        self._model = model
        if dtype == "bfloat16":
            for name, parameter in self._engine.module.model.named_parameters():
                parameter.register_hook(partial(self._note, name))

    def observe(self, way: Way, directory: Path) -> None:
        self._way, self._terms = way, {}
        changes = {"packing": way.packing, "tokens_per_micro_batch": way.budget}
        self._rules = self._rules.model_copy(update=changes)
        self._recipe = recipe(self._model, way.zero_stage, way.dtype, way.option)
        bonus = self._recipe.algorithm.entropy_weight
        batch = step_batch() if way.dtype == "float32" else many()
        kept, moment = self._rules.betas[0], self._moment()
        facts = asdict(self._train(batch, 0.0, math.inf, bonus))
        stepped = (self._moment() - kept * moment) / (1 - kept)
        facts |= {"stepped_norm": stepped.norm().item(), "roundings": self._roundings()}
        facts["kept"] = self._kept
        if self.rank == 0:
            np.savez(directory / f"{way}.npz", **self._gradient)
            (directory / f"{way}.json").write_text(json.dumps(facts))

    def _backward(self, batch: MicroBatch, totals: Totals) -> None:
        engine, boundary = self._engine, self._way.boundary
        first, last = not self._gradient_begun, engine.is_gradient_accumulation_boundary()
        engine.set_gradient_accumulation_boundary(
            {"last": last, "every": True, "first": first}[boundary]
        )
        super()._backward(batch, totals)
        engine.set_gradient_accumulation_boundary(last)
        self._gradient_begun = not last
        if last:
            self._gradient = self._read_gradient()

    _gradient_begun = False

    def _read_gradient(self) -> dict[str, np.ndarray]:
        from deepspeed.utils import safe_get_full_grad

        named = dict(self._engine.module.model.named_parameters())
        self._kept = sum(p.grad is not None for p in named.values())
        return {name: safe_get_full_grad(p).float().numpy().copy() for name, p in named.items()}

    def _moment(self) -> Tensor:
        from deepspeed.utils import safe_get_full_optimizer_state as read

        parameters = self._engine.module.model.parameters()
        return torch.cat([read(p, "exp_avg").flatten().double() for p in parameters])

    def _note(self, name: str, term: Tensor) -> None:
        """Called by torch with what one micro-batch adds to a parameter's gradient."""
        both = torch.stack([term, term.abs()]).double()
        self._terms[name] = self._terms.get(name, 0) + both

    def _roundings(self) -> float:
        """Largest error of a value of the sum, in units of UNIT * sum of |terms|; NaN where one is.

        0 where no terms are noted: in float32.
        """
        if self._way.dtype == "float32":
            return 0.0
        assert self._terms.keys() == self._gradient.keys(), "the terms of each parameter were seen"
        errors = []
        for name, both in self._terms.items():
            dist.all_reduce(both)
            exact, size = both / (dist.get_world_size() if self._engine.gradient_average else 1)
            found = torch.from_numpy(self._gradient[name])
            assert not found[~(size > 0)].any(), f"{name} has a gradient, or NaN, of no terms"
            errors.append(((found - exact).abs() / (UNIT * size))[size > 0])
        return torch.cat(errors).max().item()

    def _load_reference(self, recipe: TrainingRecipe, model: str) -> PolicyNetwork | None:
        """Another model: of itself, a policy diverges by nothing."""
        return super()._load_reference(recipe, other_model(model))


def be_a_rank(model: str, directory: Path) -> None:
    """Every rank runs this, so each calls what rank 0 would have told it to do."""
    ranks.join()
    ways = SUMMED + WRONG_SUM
    if dist.get_world_size() < 3:
        ways = ways + RIGHT + WRONG + OPTIONAL
    for stage, dtype in product(STAGES, ("float32", "bfloat16")):
        ours = [way for way in ways if (way.zero_stage, way.dtype) == (stage, dtype)]
        trainer = Observed(model, stage, dtype) if ours else None
        for way in ours:
            trainer.observe(way, directory)
    ranks.leave()


if __name__ == "__main__":
    be_a_rank(sys.argv[1], Path(sys.argv[2]))
