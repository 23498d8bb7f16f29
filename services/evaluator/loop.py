"""The evaluator: scored groups in, and prompts out as long as there is something to ask.

A client of the ring in the learner's place that learns nothing. Each group goes to the journal, and
is acknowledged when it is safe there: so whatever dies, what came back is never asked again, and
what is on its way is not asked twice.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from openrs_core import metrics
from openrs_core.ledger import Policy
from openrs_core.record.lines import ProgressLine
from openrs_core.record.rollouts import Journal
from openrs_core.record.writer import RecordWriter
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.lease import Lease
from openrs_core.wire.messages import Prompt, ScoredGroup
from services.issuing.issuer import Issuer

logger = logging.getLogger(__name__)

LINE_SECONDS = 1.0
"""Between two lines of the record."""

MOST_RETRIES = 2
"""How often a group is asked again that could not be sampled, or not be verified."""


@dataclass(kw_only=True, slots=True)
class Evaluator:
    """Asks until all is answered; `resume`, then `run`."""

    prompts: dict[str, Prompt]
    """All that is to be answered, by group id, in the order in which it is asked."""
    in_flight: int
    """Completions that may be asked for at once."""
    issuer: Issuer
    journal: Journal
    record: RecordWriter
    lease: Lease
    stop: threading.Event
    failures: dict[str, str] = field(default_factory=dict)
    """Groups that could not be sampled, and why."""
    reached: Policy = field(default=Policy(0, 0), init=False)
    _waiting: deque[Prompt] = field(default_factory=deque, init=False)
    _retries: Counter[str] = field(default_factory=Counter, init=False)
    _tokens: int = field(default=0, init=False)
    _due: float = field(default=0.0, init=False)

    def resume(self, incarnation: int) -> None:
        """Begin a life: what an earlier one has on its way is taken up, and not asked again."""
        self.reached = Policy(incarnation, 0)
        there = self.issuer.traces()
        for prompt in self.prompts.values():
            if prompt.group_id in self.journal:
                continue
            if prompt.group_id in there:
                self.issuer.take_up(prompt)
            else:
                self._waiting.append(prompt)
        logger.info("of %d groups %d are answered already", len(self.prompts), self._answered)
        self.issuer.resume(incarnation)

    def run(self) -> None:
        """Ask and keep, until all is answered or until told to stop."""
        while not (self.is_done or self.stop.is_set()):
            self.issuer.issue(self._next())
            groups = self.issuer.read(self.reached, BLOCK_SECONDS)
            for group in groups:
                self._take(group)
            if groups:
                self.lease.confirm()  # one that was fenced leaves the journal alone
                self.journal.sync()
                self.issuer.acknowledge()
            self._note()

    @property
    def is_done(self) -> bool:
        """Is there an answer, or a failure, for all?"""
        return self._answered + len(self.failures) == len(self.prompts)

    @property
    def _answered(self) -> int:
        return sum(name in self.journal for name in self.prompts)

    def _next(self) -> Iterator[Prompt]:
        """What is asked now."""
        if not self.issuer.send():
            return  # Redis is full
        asked = sum(prompt.sampling.group_size for prompt in self.issuer.in_flight.values())
        while self._waiting and asked < self.in_flight:
            asked += self._waiting[0].sampling.group_size
            yield self._waiting.popleft()

    def _take(self, group: ScoredGroup) -> None:
        """Keep a group, or ask it again: a machine that is too slow says nothing of an answer."""
        name = group.rollout.prompt.group_id
        reason = group.rollout.failure
        unsure = any(not score.is_verified for score in group.scores)
        if (reason or unsure) and self._retries[name] < MOST_RETRIES:
            self._retries[name] += 1
            self.issuer.drop(name)
            self._waiting.append(self.prompts[name])
        elif reason:
            logger.warning("%s could not be sampled: %s", name, reason)
            self.failures[name] = reason
            self.issuer.drop(name)
        else:
            self.journal.add(group)
            self._tokens += sum(len(each.token_ids) for each in group.rollout.completions)
            self.issuer.settle(name)

    def _note(self) -> None:
        """How far it is, on record and in the gauges, now and then and at the end."""
        if time.monotonic() < self._due and not self.is_done:
            return
        self._due = time.monotonic() + LINE_SECONDS
        sizes = {name: prompt.sampling.group_size for name, prompt in self.prompts.items()}
        done = sum(size for name, size in sizes.items() if name in self.journal)
        total = sum(sizes.values())
        line = ProgressLine(stage="evaluating", done=done, total=total, tokens=self._tokens)
        self.record.add(line)
        metrics.SAMPLES_KEPT.set(done)
        metrics.SAMPLES_WANTED.set(total)
        for stage, depth in self.issuer.depths().items():
            metrics.STREAM_DEPTH.labels(stage).set(depth)
