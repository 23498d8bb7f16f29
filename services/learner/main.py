"""`openrs learner`: puts the loop together. Under DeepSpeed's launcher, rank 0 alone speaks to
Redis; the other ranks follow it."""

import json
import logging
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import redis

from openrs_core.ledger import Ledger
from openrs_core.lifecycle import Settings, Stop, running
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
from services.learner.best import Best
from services.learner.checkpoints import Checkpoints
from services.learner.health import Health
from services.learner.loop import Learner
from services.learner.outlet import Outlet
from services.learner.recorder import Recorder
from services.learner.trainer.watch import one_fate, place
from services.model.directory import model_directory
from services.model.size import vocabulary_size
from services.model.tokenizer import tokenizer_of

logger = logging.getLogger(__name__)


def main(recipe: TrainingRecipe, settings: Settings, runs: Path) -> None:
    """Train a run to its end, or until told to stop; goes on where its directory says.

    One of several ranks joins the others first: what goes wrong from then on ends them too.
    """
    with one_fate():
        here = place()
        if here.rank > 0:
            settings = replace(settings, metrics_port=None)  # rank 0 has it
        with running("learner", settings) as stop:
            if here.size > 1:
                from services.learner.trainer import ranks

                ranks.join(stop.set)
            if here.rank > 0:
                follow(recipe, stop)
            else:
                lead(recipe, settings, runs, stop)


def follow(recipe: TrainingRecipe, stop: Stop) -> None:
    """Be one of the other ranks: do what rank 0 says, until it ends."""
    from services.learner.trainer.deepspeed import DeepSpeedTrainer

    trainer = DeepSpeedTrainer(recipe, model_directory(recipe))
    stop.ready()
    trainer.follow()


def lead(recipe: TrainingRecipe, settings: Settings, runs: Path, stop: Stop) -> None:
    """Be the rank that speaks to Redis, or the only one."""
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
        train(learner, client, settings.run)


def train(learner: Learner, client: redis.Redis, run_id: str) -> None:
    """Turn the loop from where the run is."""
    begun, alone = time.monotonic(), place().size == 1
    with ExitStack() as always:
        if alone:  # with others only at a clean end: after an error they do not hear it
            always.callback(learner.trainer.close)
        always.callback(learner.outlet.publisher.close)
        # later than any that is on record, even if Redis has forgotten them all
        last = learner.recorder.last_incarnation
        learner.restore(
            when_there_is_room(lambda: next_incarnation(client, run_id, after=last), learner.stop)
        )
        learner.outlet.publisher.begin(learner.reached, learner.trainer.weights())
        learner.run()
    if not alone:
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
    tokenizer = tokenizer_of(model)
    rules, directory = recipe.learner, runs / settings.run
    data = load_data(recipe, tokenizer)
    evaluation = Evaluation(recipe, data.held_out)
    queue = Queue(client, settings.run, settings.name, recipe.redelivery_seconds)
    issuer = Issuer(queue, vocabulary_size(model))
    ledger = Ledger(rules.max_staleness, rules.groups_per_step, rules.on_straggler)
    recorder, base = Recorder(directory, recipe, data.train), Path(model)
    publisher = Publisher(client, settings.run, rules.snapshot_every)
    best = Best(directory / CHECKPOINTS, recipe.best_set, tokenizer, base)
    from services.learner.trainer.deepspeed import DeepSpeedTrainer

    trainer = DeepSpeedTrainer(recipe, model)
    return Learner(
        recipe=recipe,
        trainer=trainer,
        admission=Admission(issuer, ledger, data.train, evaluation, recipe),
        outlet=Outlet(
            trainer=trainer, publisher=publisher, evaluation=evaluation, recorder=recorder,
            best=best, lease=lease, last=rules.steps,
        ),
        checkpoints=Checkpoints(directory / CHECKPOINTS, rules.keep_checkpoints, tokenizer, base),
        recorder=recorder,
        health=Health(rules),
        lease=lease,
        stop=stop,
    )  # fmt: skip
