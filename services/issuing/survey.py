"""A survey: prompts that are all to be answered, once, under one policy.

What an evaluation and a curation ask of the ring. Each group that comes back goes to the journal,
and is acknowledged when it is safe there: so whatever dies, what came back is never asked again,
and what is on its way is not asked twice.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from openrs_core import metrics
from openrs_core.errors import RunError
from openrs_core.ledger import Policy
from openrs_core.record.lines import ProgressLine
from openrs_core.record.rollouts import Journal
from openrs_core.record.writer import RecordWriter
from openrs_core.ring.connection import BLOCK_SECONDS
from openrs_core.ring.lease import Lease
from openrs_core.wire.messages import Prompt, Sampling, ScoredGroup
from services.issuing.issuer import Issuer
from services.issuing.problems import Problem

logger = logging.getLogger(__name__)

LINE_SECONDS = 1.0
"""Between two lines of the record."""

MOST_RETRIES = 2
"""How often a group is asked again that could not be sampled, or not be verified."""


FIRST_LIFE = 1
"""Every life asks as the first one did, as the policy is the same in all of them."""


def survey_prompt(
    problem: Problem, group_id: str, position: int, begun: float, sampling: Sampling
) -> Prompt:
    """One prompt of a survey that began at this Unix time, the same in every life."""
    return Prompt(
        group_id=group_id, prompt_id=problem.prompt_id, position=position, purpose="eval",
        incarnation=FIRST_LIFE, issued_version=0, issued_at=begun, token_ids=problem.token_ids,
        thought_open=problem.thought_open, problem=problem.text, answer=problem.answer,
        sampling=sampling,
    )  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Survey:
    """Asks until all is answered: `resume`, then `run`."""

    stage: str
    """What it is for, in a word or two."""
    prompts: dict[str, Prompt]
    """All that is to be answered, by group id, in the order in which it is asked; the same in every
    life, so what an earlier one sent can be told."""
    in_flight: int
    """Completions that may be asked for at once."""
    policy: Policy
    """In this life of the client."""
    issuer: Issuer
    journal: Journal
    record: RecordWriter
    lease: Lease
    stop: threading.Event
    failures: dict[str, str] = field(default_factory=dict, init=False)
    """Groups that could not be sampled, and why."""
    _left: set[str] = field(init=False)
    _waiting: deque[Prompt] = field(default_factory=deque, init=False)
    _retries: Counter[str] = field(default_factory=Counter, init=False)
    _tokens: int = field(default=0, init=False)
    _due: float = field(default=0.0, init=False)

    def resume(self) -> None:
        """Find out what is left; what an earlier life has on its way is not sent again.

        Raises:
            RunError: the journal holds the answer to another prompt of the same name.
        """
        self._left = {name for name in self.prompts if name not in self.journal}
        _refuse_other(self.journal, self.prompts.values())
        there = self.issuer.traces()
        for prompt in (self.prompts[name] for name in self.prompts if name in self._left):
            if prompt.group_id in there:
                self.issuer.take_up(prompt)
            else:
                self._waiting.append(prompt)
        logger.info(
            "%s: %d of %d groups are answered, %d on their way",
            self.stage, len(self.prompts) - len(self._left), len(self.prompts),
            len(self.issuer.in_flight),
        )  # fmt: skip
        self.issuer.resume(self.policy.incarnation)

    def run(self) -> None:
        """Ask and keep, until all is answered or until told to stop."""
        self._note()
        while not (self.is_done or self.stop.is_set()):
            self.issuer.issue(self._next())
            groups = self.issuer.read(self.policy, BLOCK_SECONDS)
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
        return len(self._left) == len(self.failures)

    def _next(self) -> Iterator[Prompt]:
        """What is asked now: nothing while Redis is full."""
        if not self.issuer.send():
            return
        asked = sum(prompt.sampling.group_size for prompt in self.issuer.in_flight.values())
        while self._waiting and asked < self.in_flight:
            asked += self._waiting[0].sampling.group_size
            yield self._waiting.popleft()

    def _take(self, group: ScoredGroup) -> None:
        """Keep a group, or ask again: that a machine was too slow says nothing of an answer."""
        name, reason = group.rollout.prompt.group_id, group.rollout.failure
        unsure = any(not score.is_verified for score in group.scores)
        if (reason or unsure) and self._retries[name] < MOST_RETRIES:
            self._retries[name] += 1
            self._waiting.append(self.prompts[name])
            self.issuer.drop(name)
        elif reason:
            logger.warning("%s could not be sampled: %s", name, reason)
            self.failures[name] = reason
            self.issuer.drop(name)
        else:
            self._keep(name, group)

    def _keep(self, name: str, group: ScoredGroup) -> None:
        self.journal.add(group)
        self.issuer.settle(name)
        self._left.discard(name)
        self._tokens += sum(len(each.token_ids) for each in group.rollout.completions)

    def _note(self) -> None:
        """How far it is, on record and in the gauges, now and then and at the end."""
        if time.monotonic() < self._due and not self.is_done:
            return
        self._due = time.monotonic() + LINE_SECONDS
        total = sum(prompt.sampling.group_size for prompt in self.prompts.values())
        done = total - sum(self.prompts[name].sampling.group_size for name in self._left)
        self.record.add(ProgressLine(stage=self.stage, done=done, total=total, tokens=self._tokens))
        metrics.SURVEY_DONE.set(done)
        metrics.SURVEY_TOTAL.set(total)
        for stage, depth in self.issuer.depths().items():
            metrics.STREAM_DEPTH.labels(stage).set(depth)


def _refuse_other(journal: Journal, prompts: Iterable[Prompt]) -> None:
    for prompt in prompts:
        if prompt.group_id in journal:
            kept = journal.group(prompt.group_id).rollout.prompt
            if (kept.token_ids, kept.answer) != (prompt.token_ids, prompt.answer):
                raise RunError(
                    f"journal: problem {prompt.prompt_id!r} was another one when it was asked; the "
                    "data or the tokenizer has changed since: begin anew under another --run"
                )
