"""`openrs learner`: puts the loop together. Under DeepSpeed's launcher, rank 0 alone speaks to
Redis; the other ranks follow it."""

import json
import logging
import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from openrs_core.ledger import Ledger, Policy
from openrs_core.lifecycle import Settings, running
from openrs_core.memory import keep_freed_memory
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.directory import keep_recipe
from openrs_core.ring.agreement import agree, next_incarnation
from openrs_core.ring.connection import connect, when_there_is_room
from openrs_core.ring.keys import Keys
from openrs_core.ring.lease import Lease
from openrs_core.ring.queue import Queue
from openrs_core.weights import Publisher
from services.model import model_directory

if TYPE_CHECKING:
    from services.learner.loop import Learner

logger = logging.getLogger(__name__)


def main(recipe: TrainingRecipe, settings: Settings, runs: Path) -> None:
    """Train a run to its end, or until told to stop; goes on where its directory says."""
    if int(os.environ.get("RANK", "0")) > 0:
        follow(recipe)
        return
    with running("learner", settings) as stop:
        directory = runs / settings.run
        client = connect(settings.redis_url, stop)
        client.exists(Keys(settings.run).recipe)  # where it refuses us, no directory is left
        keep_recipe(directory, recipe)
        agree(client, settings.run, recipe)
        lease = Lease(client, settings.run, recipe)
        with closing(lease):
            lease.take(stop)
            learner = build(recipe, client, settings, directory, lease)
            stop.ready()
            lead(learner, client, settings.run, stop)


def follow(recipe: TrainingRecipe) -> None:
    """Be one of the other ranks: stop when rank 0 does, whoever else is told to."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a launcher sends them to every rank
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    from services.learner.trainer import DeepSpeedTrainer

    DeepSpeedTrainer(recipe, model_directory(recipe)).follow()


def lead(learner: "Learner", client: redis.Redis, run_id: str, stop: threading.Event) -> None:
    """Be the rank that speaks to Redis."""
    from services.learner.loop import run

    begun = time.monotonic()
    try:
        policy = begin(learner, client, run_id, stop)
        learner.publisher.begin(policy, learner.trainer.weights())
        reached = run(learner, policy, stop)
    finally:
        learner.publisher.close()
        learner.trainer.close()
    if reached.version == learner.recipe.learner.steps and not stop.is_set():
        balance = learner.admission.ledger.balance()
        summary = learner.record.summary(balance, time.monotonic() - begun)
        logger.info("summary %s", json.dumps(summary))


def begin(learner: "Learner", client: redis.Redis, run_id: str, stop: threading.Event) -> Policy:
    """Begin a new life: from the newest checkpoint, or from the base model."""
    newest = learner.checkpoints.newest()
    # later than any that is on record, even if Redis has forgotten them all
    last = learner.record.last_incarnation
    incarnation = when_there_is_room(lambda: next_incarnation(client, run_id, after=last), stop)
    if newest is None:
        return Policy(incarnation, 0)
    state = learner.checkpoints.load(newest, learner.recipe.fingerprint)
    learner.trainer.load(newest / "optimizer")
    learner.admission.ledger.restore(state.ledger, incarnation, state.version)
    learner.health.restore(state.health)
    logger.info("resumed at step %d from %s", state.version, newest)
    return Policy(incarnation, state.version)


def build(
    recipe: TrainingRecipe, client: redis.Redis, settings: Settings, directory: Path, lease: Lease
) -> "Learner":
    """Everything the loop turns; what can be refused cheaply is looked at first."""
    model = model_directory(recipe)
    from transformers import AutoTokenizer

    from services.learner.admission import Admission
    from services.learner.checkpoints import Checkpoints
    from services.learner.evaluation import Evaluation
    from services.learner.health import Health
    from services.learner.loop import Learner
    from services.learner.problems import load_problems
    from services.learner.record import Record
    from services.learner.trainer import DeepSpeedTrainer

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    rules = recipe.learner
    held_out = load_problems(recipe, "held_out", tokenizer) if recipe.data.held_out else None
    evaluation = Evaluation(recipe, held_out.first(recipe.evaluation.problems) if held_out else [])
    problems = load_problems(recipe, "train", tokenizer)
    queue = Queue(client, settings.run, settings.name, recipe.redelivery_seconds)
    ledger = Ledger(rules.max_staleness, rules.groups_per_step, rules.on_straggler)
    publisher = Publisher(client, settings.run, rules.snapshot_every)
    admission = Admission(queue, ledger, problems, evaluation, recipe, lambda: publisher.published)
    record = Record(directory, recipe)
    admission.on_evaluated = record.evaluated
    return Learner(
        recipe=recipe,
        trainer=DeepSpeedTrainer(recipe, model),
        admission=admission,
        evaluation=evaluation,
        publisher=publisher,
        checkpoints=Checkpoints(directory / "checkpoints", rules.keep_checkpoints, tokenizer),
        record=record,
        health=Health(rules),
        lease=lease,
    )
