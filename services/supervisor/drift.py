"""`openrs drift`: is what the sampler says what the learner computes?

The whole ring is run with a learning rate of 0. The policy never moves, so whatever lies between
the log-probabilities of sampler and learner is a difference of how the two compute it.
"""

import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from openrs_core.recipe.file import load
from openrs_core.record.directory import SUMMARY
from openrs_core.record.lines import StepLine
from openrs_core.record.reader import read_record
from services.supervisor.main import train
from services.supervisor.ring import EXIT_STOPPED, Plan, run_directory

ROUNDING = {"float32": 1e-3, "bfloat16": 0.03}
"""Mean |log ratio| that rounding can make, by the type of the weights: a few times what it makes in
float32 with other kernels (1e-5 to 1e-4), and in bfloat16 (about 0.01)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """Sampler against learner, over the tokens of all steps; w = pi / mu of a token."""

    steps: int
    tokens: int
    log_ratio_mean: float
    """Mean |log w|, nats."""
    log_ratio_max: float
    mismatch_kl: float
    """k3 estimate of the KL divergence, nats per token."""
    ess: float
    """The smallest of the steps' effective sample sizes, as shares of their tokens."""
    outside: float
    """Share of tokens with w outside [0.9, 1.1]."""


def main(recipe_path: Path, overrides: Sequence[str], plan: Plan, steps: int) -> int:
    """Measure so many steps, and say what they mean; returns the exit code.

    The run's directory is removed, unless a process failed: its logs are in there.
    """
    recipe = load(recipe_path, [*overrides, *still(steps)])
    directory = run_directory(recipe, plan, SUMMARY)
    code = train(recipe, directory, plan, recipe_path.parent)
    if code not in (0, EXIT_STOPPED):
        return code
    made = read_record(directory).steps
    shutil.rmtree(directory)
    if code == 0:
        found = drift(made)
        said = [*map(line, made), verdict(found, recipe.model.dtype)]
        sys.stderr.write("\n".join(said) + "\n")
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
    return code


def still(steps: int) -> list[str]:
    """What makes a recipe one whose policy stays as it is, with nothing beside its steps."""
    return [
        f"learner.steps={steps}", "learner.lr=0", "learner.spike_factor=0",
        f"learner.checkpoint_every={steps + 1}", "learner.keep_checkpoints=1", "data.held_out=",
        "evaluation.sets=[]", "evaluation.best=",
    ]  # fmt: skip


def drift(steps: Sequence[StepLine]) -> Drift:
    """Of all steps together: means over their tokens."""
    tokens = sum(step.tokens for step in steps)

    def mean(name: str) -> float:
        return math.fsum(getattr(step, name) * step.tokens for step in steps) / tokens

    return Drift(
        steps=len(steps),
        tokens=tokens,
        log_ratio_mean=mean("log_ratio_mean"),
        log_ratio_max=max(step.log_ratio_max for step in steps),
        mismatch_kl=mean("mismatch_kl"),
        ess=min(step.ess for step in steps),
        outside=mean("outside"),
    )


def line(step: StepLine) -> str:
    """One step, for a person."""
    return (
        f"step {step.version}  |log ratio| mean {step.log_ratio_mean:.2g}, largest "
        f"{step.log_ratio_max:.2g}  KL {step.mismatch_kl:.2g}  ess {step.ess:.4f}  "
        f"outside [0.9, 1.1] {step.outside:.2%}"
    )


def verdict(found: Drift, dtype: str) -> str:
    """What it means, in plain words."""
    most = ROUNDING[dtype]
    facts = (
        f"over {found.tokens} tokens the mean |log ratio| is {found.log_ratio_mean:.2g}, the "
        f"largest {found.log_ratio_max:.2g}; up to {most:g} on average can be rounding in {dtype}"
    )
    if found.log_ratio_mean <= most:
        return f"sampler and learner compute the same model: {facts}"
    return (
        f"sampler and learner do NOT compute the same model: {facts}. Do both know this "
        "architecture (model.path), are the versions of vllm and transformers the locked ones, is "
        'anything of the sampler quantised? With model.dtype = "float32" rounding is gone and a '
        "difference of the models stays"
    )
