"""`openrs learner`: puts the loop together. Under DeepSpeed's launcher, rank 0 alone speaks to
Redis; the other ranks follow it."""

import json
import logging
import os
import signal
import time
from contextlib import closing
from pathlib import Path

import redis

from openrs_core.ledger import Ledger
from openrs_core.lifecycle import Settings, Stop, running
from openrs_core.memory import keep_freed_memory
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.directory import CHECKPOINTS, keep_recipe
from openrs_core.ring.agreement import agree, next_incarnation, refuse_odd_name
from openrs_core.ring.connection import connect, when_there_is_room
from openrs_core.ring.keys import Keys
from openrs_core.ring.lease import Lease
from openrs_core.ring.queue import Queue
from openrs_core.weights import Publisher
from services.issuing.evaluation import Evaluation
from services.issuing.issuer import Issuer
from services.issuing.problems import load_data
from services.learner.admission import Admission
from services.learner.checkpoints import Checkpoints
from services.learner.health import Health
from services.learner.loop import Learner
from services.learner.recorder import Recorder
from services.model.directory import model_directory
from services.model.size import vocabulary_size

logger = logging.getLogger(__name__)


def main(recipe: TrainingRecipe, settings: Settings, runs: Path) -> None:
    """Train a run to its end, or until told to stop; goes on where its directory says."""
    if int(os.environ.get("RANK", "0")) > 0:
        follow(recipe)
        return
    with running("learner", settings) as stop:
        refuse_odd_name(settings.run)
        client = connect(settings.redis_url, stop)
        client.exists(Keys(settings.run).recipe)  # where it refuses us, no directory is left
        keep_recipe(runs / settings.run, recipe)
        agree(client, settings.run, recipe)
        lease = Lease(client, settings.run, recipe)
        with closing(lease):
            lease.take(stop)
            learner = build(recipe, client, settings, runs, lease, stop)
            stop.ready()
            lead(learner, client, settings.run)


def follow(recipe: TrainingRecipe) -> None:
    """Be one of the other ranks: stop when rank 0 does, whoever else is told to."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a launcher sends them to every rank
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    from services.learner.trainer.deepspeed import DeepSpeedTrainer

    DeepSpeedTrainer(recipe, model_directory(recipe)).follow()


def lead(learner: Learner, client: redis.Redis, run_id: str) -> None:
    """Be the rank that speaks to Redis."""
    begun = time.monotonic()
    try:
        # later than any that is on record, even if Redis has forgotten them all
        last = learner.recorder.last_incarnation
        learner.restore(
            when_there_is_room(lambda: next_incarnation(client, run_id, after=last), learner.stop)
        )
        learner.publisher.begin(learner.reached, learner.trainer.weights())
        learner.run()
    finally:
        learner.publisher.close()
        learner.trainer.close()
    if learner.is_done and not learner.stop.is_set():
        balance = learner.admission.ledger.balance()
        summary = learner.recorder.summary(balance, time.monotonic() - begun)
        logger.info("summary %s", json.dumps(summary))


def build(
    recipe: TrainingRecipe,
    client: redis.Redis,
    settings: Settings,
    runs: Path,
    lease: Lease,
    stop: Stop,
) -> Learner:
    """Everything the loop turns; what can be refused cheaply is looked at first."""
    model = model_directory(recipe)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    rules, directory = recipe.learner, runs / settings.run
    data = load_data(recipe, tokenizer)
    evaluation = Evaluation(recipe, data.held_out.first(recipe.evaluation.problems))
    queue = Queue(client, settings.run, settings.name, recipe.redelivery_seconds)
    issuer = Issuer(queue, vocabulary_size(model))
    ledger = Ledger(rules.max_staleness, rules.groups_per_step, rules.on_straggler)
    from services.learner.trainer.deepspeed import DeepSpeedTrainer

    return Learner(
        recipe=recipe,
        trainer=DeepSpeedTrainer(recipe, model),
        admission=Admission(issuer, ledger, data.train, evaluation, recipe),
        evaluation=evaluation,
        publisher=Publisher(client, settings.run, rules.snapshot_every),
        checkpoints=Checkpoints(
            directory / CHECKPOINTS, rules.keep_checkpoints, tokenizer, Path(model)
        ),
        recorder=Recorder(directory, recipe),
        health=Health(rules),
        lease=lease,
        stop=stop,
    )
