"""Admission: which prompts training issues, and which groups make a step.

Issues prompts while the ledger has room, sorts the groups that come back (of an evaluation, failed,
without signal, too old) and gives the learner exactly one step's worth.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from openrs_core import metrics
from openrs_core.ledger import ENDS, End, Issued, Ledger, Policy
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.checkpoint import State
from openrs_core.wire.messages import Prompt, Sampling, ScoredGroup
from services.issuing.evaluation import Evaluation
from services.issuing.issuer import Issuer
from services.issuing.problems import Problems
from services.learner.algorithm.curriculum import Curriculum
from services.learner.algorithm.drought import Drought
from services.learner.algorithm.length import LengthSchedule
from services.learner.algorithm.outcome import ENDS_AS, Outcome, outcome
from services.learner.algorithm.scored import Tally

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """One group of a step."""

    issued: Issued
    group: ScoredGroup
    staleness: int
    """Distance to the farthest policy that made one of its tokens, in optimizer steps."""


class Admission:
    """The learner's gate to the ring."""

    def __init__(
        self,
        issuer: Issuer,
        ledger: Ledger,
        problems: Problems,
        evaluation: Evaluation,
        recipe: TrainingRecipe,
    ) -> None:
        self.issuer, self.ledger, self._problems = issuer, ledger, problems
        self._evaluation, self._recipe = evaluation, recipe
        self._counted = ledger.ended.copy()  # what the metrics already say
        self._tally, self._drought = Tally(), Drought(recipe.learner.groups_per_step)
        self.scored = self._tally.scored()
        """All groups that came back between the last two steps, and those of the last."""
        self._length = LengthSchedule(recipe.length, recipe.sampler.max_tokens)
        self._curriculum = Curriculum(recipe.curriculum, len(problems))

    def issue(self, reached: Policy, published: Policy, *, alone: bool = False) -> None:
        """Send out prompts: training's as far as the ledger has room, evaluation's share first.

        `published` is the newest policy that samplers can see; `alone`: the evaluation need not
        leave room for training. Nothing more is issued while Redis is full.
        """
        if not self.issuer.send():
            return
        is_last = reached.version >= self._recipe.learner.steps
        room = 0 if is_last else self.ledger.room(reached, published)
        groups = [self._book(published) for _ in range(room)]
        metrics.GROUPS_ISSUED.inc(room)
        training = [self._prompt(group) for group in groups]
        most = None if alone else self._evaluations_share()
        self.issuer.issue([*self._evaluation.next_prompts(published, most), *training])

    def _evaluations_share(self) -> int | None:
        """Completions of an evaluation that may be in flight: a step's worth, and what training
        leaves of its own; None, where training waits for no group at all: as many as there are."""
        rules = self._recipe.learner
        if not self.ledger.awaited:
            return None
        left = (rules.max_staleness + 2) * rules.groups_per_step - self.ledger.awaited
        return left * rules.group_size

    def read(self, reached: Policy, seconds: float) -> None:
        """Sort the groups that came back; waits so long for the first."""
        for group in self.issuer.read(reached, seconds):
            self._sort(group, reached)

    def take(self, reached: Policy) -> list[Collected]:
        """The groups of the step from the policy reached, or none yet."""
        chosen = self.ledger.take(reached)
        self._drop_ended()
        groups = [self._collected(group_id, reached) for group_id in chosen]
        for collected in groups:
            self._count(collected.group, "signal")
        if groups:
            self.scored, self._tally = self._tally.scored(), Tally()
        return groups

    def settle(self, groups: Iterable[Collected], how: End = "trained") -> None:
        """These groups are in the weights now, or never will be (their step was skipped): they are
        acknowledged by the next checkpoint."""
        for collected in groups:
            self.ledger.end(collected.issued.group_id, how)
            self.issuer.settle(collected.issued.group_id)
        if how == "trained" and self._length.made(self.scored.truncated or 0.0):
            logger.info("completions may have %d tokens from now on", self._length.max_tokens)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: the ledger, the prompts it has in flight, and what is counted."""
        return {
            "ledger": self.ledger.state(),
            "prompts": self.issuer.state(self.ledger.in_flight),
            "algorithm": {
                "tally": self._tally.state(),
                "length": self._length.state(),
                "curriculum": self._curriculum.state(),
            },
        }

    def restore(self, state: State, reached: Policy) -> None:
        """Go on from a checkpoint as a new incarnation, which begins with `reached`."""
        self.ledger.restore(state.ledger, reached.incarnation, reached.version)
        self.issuer.restore(state.prompts)
        self._tally.restore(state.algorithm["tally"])
        self._length.restore(state.algorithm["length"])
        self._curriculum.restore(state.algorithm["curriculum"])

    def observe(self) -> None:
        """Gauges of the ring."""
        for how in ENDS:
            metrics.GROUPS_ENDED.labels(how).inc(self.ledger.ended[how] - self._counted[how])
        self._counted = self.ledger.ended.copy()
        metrics.GROUPS_IN_FLIGHT.set(len(self.ledger.in_flight))
        for stage, depth in self.issuer.depths().items():
            metrics.STREAM_DEPTH.labels(stage).set(depth)

    def _sort(self, group: ScoredGroup, reached: Policy) -> None:
        """Keep what a step will need; all else is acknowledged at once."""
        prompt = group.rollout.prompt
        metrics.GROUP_SECONDS.observe(max(0.0, time.time() - prompt.issued_at))
        if prompt.purpose == "eval":
            self._evaluation.arrive(group)
        elif self._admit(group, reached):
            return
        self.issuer.drop(prompt.group_id)

    def _admit(self, group: ScoredGroup, reached: Policy) -> bool:
        """Is this group to be trained on? Otherwise the ledger knows why not."""
        group_id = group.rollout.prompt.group_id
        what = outcome(group, self._recipe.algorithm)
        if what == "failed":
            logger.warning("group %s failed: %s", group_id, group.rollout.failure)
        if complaint := self._drought.see(what):
            logger.warning("%s", complaint)
        if what == "signal":
            return self.ledger.arrive(group_id, _made_by(group), reached)
        self._count(group, what)
        self.ledger.end(group_id, ENDS_AS[what])
        return False

    def _count(self, group: ScoredGroup, what: Outcome) -> None:
        """A group leaves the flight, or is about to: what it was like is remembered."""
        self._tally.add(group, what)
        prompt = group.rollout.prompt
        verified = [score for score in group.scores if score.is_verified]
        right = sum(score.verdict == "correct" for score in verified)
        self._curriculum.visited(prompt.prompt_id, prompt.position, right, len(verified))

    def _drop_ended(self) -> None:
        """Let go of groups that the ledger has ended as stale while they were away or in hand."""
        for group_id, prompt in list(self.issuer.in_flight.items()):
            if prompt.purpose == "train" and group_id not in self.ledger.in_flight:
                self.issuer.drop(group_id)

    def _collected(self, group_id: str, reached: Policy) -> Collected:
        group = self.issuer.group(group_id)
        distances = [self.ledger.lineage.distance(policy, reached) for policy in _made_by(group)]
        return Collected(self.ledger.in_flight[group_id], group, max(distances))

    def _book(self, published: Policy) -> Issued:
        """Book the next group; the cursor passes over problems that are not worth a visit."""
        if not self.ledger.again:
            self.ledger.cursor = self._curriculum.next_place(
                self.ledger.cursor, lambda place: self._problems.at(place).prompt_id
            )
        return self.ledger.issue(published)

    def _prompt(self, group: Issued) -> Prompt:
        problem, recipe = self._problems.at(group.position), self._recipe
        return Prompt(
            group_id=group.group_id,
            prompt_id=problem.prompt_id,
            position=group.position,
            purpose="train",
            incarnation=group.policy.incarnation,
            issued_version=group.policy.version,
            issued_at=time.time(),
            token_ids=problem.token_ids,
            thought_open=problem.thought_open,
            problem=problem.text,
            answer=problem.answer,
            sampling=Sampling(
                temperature=recipe.sampler.temperature,
                max_tokens=self._length.max_tokens,
                group_size=recipe.learner.group_size,
            ),
        )


def _made_by(group: ScoredGroup) -> set[Policy]:
    """Every policy that made a token of the group."""
    return {
        Policy(run.incarnation, run.version)
        for completion in group.rollout.completions
        for run in completion.policies
    }
