"""A client's seat in the ring: all it holds there while it lives, for one that learns nothing.

    with seated(recipe, settings, directory, stop) as seat:
        survey = seat.survey("evaluating", prompts, in_flight=2048)

The policy is the model as it is: version 0 of each life, named by its digest, so that samplers need
no weights sent.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from openrs_core.ledger import Policy
from openrs_core.lifecycle import Settings
from openrs_core.recipe.ring import RingRecipe
from openrs_core.record.directory import keep_recipe
from openrs_core.record.lines import LifeLine
from openrs_core.record.reader import read_record
from openrs_core.record.rollouts import Journal
from openrs_core.record.writer import RecordWriter
from openrs_core.ring.agreement import agree, next_incarnation, refuse_odd_name
from openrs_core.ring.connection import connect, when_there_is_room
from openrs_core.ring.lease import Lease
from openrs_core.ring.queue import Queue
from openrs_core.weights import Publisher
from openrs_core.wire.messages import Prompt
from services.issuing.issuer import Issuer
from services.issuing.survey import Survey
from services.model.directory import model_directory
from services.model.size import vocabulary_size
from services.model.tokenizer import tokenizer_of

JOURNAL = "groups.bin"

SNAPSHOT_EVERY = 1
"""Versions between whole copies of the weights; there is one version."""


@dataclass(kw_only=True, slots=True)
class Seat:
    """What a client holds."""

    policy: Policy
    begun: float
    """When its first life began, Unix time."""
    digest: str
    """Of the model's weights."""
    tokenizer: Any
    issuer: Issuer
    journal: Journal
    record: RecordWriter
    lease: Lease
    stop: threading.Event

    def survey(self, stage: str, prompts: Iterable[Prompt], in_flight: int) -> Survey:
        """Begin to ask; `in_flight`: completions at once."""
        survey = Survey(
            stage=stage, prompts={prompt.group_id: prompt for prompt in prompts},
            in_flight=in_flight, policy=self.policy, issuer=self.issuer, journal=self.journal,
            record=self.record, lease=self.lease, stop=self.stop,
        )  # fmt: skip
        survey.resume()
        return survey


@contextmanager
def seated(
    recipe: RingRecipe, settings: Settings, directory: Path, stop: threading.Event
) -> Iterator[Seat]:
    """Take the seat, and leave it in the end.

    Raises:
        RunError: the run has another client, or another recipe, or there is no such model.
    """
    refuse_odd_name(settings.run)
    client = connect(settings.redis_url, stop)
    keep_recipe(directory, recipe)
    agree(client, settings.run, recipe)
    with ExitStack() as leaving:
        lease = leaving.enter_context(closing(Lease(client, settings.run, recipe)))
        lease.take(stop)
        model = model_directory(recipe)
        policy, begun = _begin_life(client, settings.run, directory, stop)
        publisher = Publisher(client, settings.run, SNAPSHOT_EVERY)
        leaving.callback(publisher.close)
        queue = Queue(client, settings.run, settings.name, recipe.redelivery_seconds)
        yield Seat(
            policy=policy,
            begun=begun,
            digest=_publish(publisher, policy, model, recipe.model.dtype),
            tokenizer=tokenizer_of(model),
            issuer=Issuer(queue, vocabulary_size(model)),
            journal=leaving.enter_context(closing(Journal(directory / JOURNAL))),
            record=RecordWriter(directory),
            lease=lease,
            stop=stop,
        )


def _begin_life(
    client: redis.Redis, run: str, directory: Path, stop: threading.Event
) -> tuple[Policy, float]:
    """The policy of this life, and when the first one began."""
    record = read_record(directory)
    last = record.last_incarnation
    incarnation = when_there_is_room(lambda: next_incarnation(client, run, after=last), stop)
    line = LifeLine(incarnation=incarnation, version=0)
    RecordWriter(directory).add(line)
    first = record.lives[0] if record.lives else line
    return Policy(incarnation, 0), first.time


def _publish(publisher: Publisher, policy: Policy, model: str, dtype: str) -> str:
    """Name the policy to the samplers; its digest."""
    from services.model.weights import base_policy  # torch

    weights = base_policy(model, dtype)
    publisher.begin(policy, weights)
    return weights.digest()
