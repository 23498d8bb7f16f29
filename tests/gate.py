"""A learner's gate to the ring without a learner: what its loop does with it, and no training."""

import threading
from collections.abc import Callable

from openrs_core.ledger import Ledger, Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.lines import EvaluationLine
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.queue import Queue
from services.issuing.evaluation import Evaluation
from services.issuing.issuer import Issuer
from services.issuing.problems import Problem, Problems
from services.learner.admission import Admission, Collected

VOCABULARY = 100
PROBLEMS = [
    Problem(f"p{number}", "1+6?", (1, 2), "7", thought_open=number % 2 == 1) for number in range(50)
]


def an_admission(
    queue: Queue, recipe: TrainingRecipe, ledger: Ledger | None = None, *, held_out: int = 0
) -> Admission:
    """Of fifty problems; as many of them as asked for are evaluated."""
    rules = recipe.learner
    return Admission(
        Issuer(queue, VOCABULARY),
        ledger or Ledger(rules.max_staleness, rules.groups_per_step, rules.on_straggler),
        Problems(PROBLEMS, seed=0),
        Evaluation(recipe, {"held_out": Problems(PROBLEMS[:held_out], seed=0)}),
        recipe,
    )


def collect(
    admission: Admission, reached: Policy, stop: threading.Event | None = None
) -> list[Collected]:
    """The groups of the next step, every policy being visible at once; none when told to stop."""
    while not (stop and stop.is_set()):
        if groups := admission.take(reached):
            return groups
        admission.issue(reached, reached)
        admission.read(reached, BLOCK_SECONDS)
    return []


def evaluate(admission: Admission, reached: Policy) -> list[EvaluationLine]:
    """The results of an evaluation of this policy."""
    admission._evaluation.begin(reached, now=1.7e9)
    exchange_until(admission, reached, lambda: admission._evaluation.policy is None)
    return admission._evaluation.finished()


def exchange_until(admission: Admission, reached: Policy, over: Callable[[], bool]) -> None:
    """Prompts out and groups in, until it is over."""
    while not over():
        admission.issue(reached, reached, alone=True)
        admission.read(reached, BLOCK_SECONDS)
