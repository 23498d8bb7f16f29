"""What withholding costs where answers are long and uneven, in simulated time. Ends with JSON.

The ledger and the evaluation are the real ones; sampler and learner are two clocks. A sampler has
places for 256 completions; how long one takes is drawn from a lognormal distribution with a mean of
a minute (one in a hundred takes four minutes and more). A step takes 16 groups of 8 and 20 seconds.
Every 25 steps 128 problems are evaluated, with four samples and greedily, so a fifth more is to be
sampled. Three ways: no evaluation, one for which newer versions are withheld, and one that lets
them come into force. Five bounds on staleness, three seeds; half a minute.
"""

import heapq
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Literal

from openrs_core.ledger import Ledger, Policy
from openrs_core.recipe.file import load
from openrs_core.wire.messages import Prompt
from services.issuing.evaluation import Evaluation
from services.issuing.problems import Problem, Problems
from tests.builders import a_scored_group

TOY = Path(__file__).parents[1] / "recipes" / "toy.toml"
STEPS, EVERY, PLACES, STEP_SECONDS = 200, 25, 256, 20.0
MEAN_SECONDS, SIGMA = 60.0, 0.7
RULES = (
    f"learner.steps={STEPS}", "learner.groups_per_step=16", "learner.group_size=8",
    f"evaluation.every={EVERY}", "evaluation.problems=128", "evaluation.samples=4",
)  # fmt: skip
Way = Literal["none", "withheld", "drifting"]


@dataclass
class Ring:
    """One run; `now` is in seconds."""

    way: Way
    bound: int
    seed: int
    now: float = 0.0
    reached: Policy = field(default_factory=lambda: Policy(1, 0))
    published: Policy = field(default_factory=lambda: Policy(1, 0))
    queue: list[tuple[str, int, Prompt | None]] = field(default_factory=list)
    running: list[tuple[float, int, str, int, Prompt | None]] = field(default_factory=list)
    busy_until: float = 0.0
    stepping: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe = load(TOY, [*RULES, f"learner.max_staleness={self.bound}"])
        self.rules, self.chance = recipe.learner, random.Random(self.seed)
        self.ledger = Ledger(self.bound, self.rules.groups_per_step)
        problems = [Problem(str(n), "?", (1,), "7") for n in range(128)]
        self.evaluation = Evaluation(recipe, {"held_out": Problems(problems, seed=0)})

    def run(self) -> float:
        """Steps an hour."""
        while self.reached.version < STEPS:
            self.issue()
            self.sample()
            self.step()
            self.wait()
        return self.reached.version / self.now * 3600

    def issue(self) -> None:
        for _ in range(self.ledger.room(self.reached, self.published)):
            group = self.ledger.issue(self.published)
            self.queue.append((group.group_id, self.rules.group_size, None))
        evaluated = self.evaluation.policy
        if evaluated is None:
            return
        awaited = self.ledger.awaited
        left = (self.bound + 2) * self.rules.groups_per_step - awaited
        most = left * self.rules.group_size if awaited else None
        for prompt in self.evaluation.next_prompts(evaluated, most):
            self.queue.append((prompt.group_id, prompt.sampling.group_size, prompt))

    def sample(self) -> None:
        """Begin groups in their order while there are places, as the sampler does."""
        taken = sum(size for _, _, _, size, _ in self.running)
        while self.queue and taken < PLACES:
            name, size, prompt = self.queue.pop(0)
            taken += size
            seconds = max(self.length() for _ in range(size))
            heapq.heappush(self.running, (self.now + seconds, len(name), name, size, prompt))

    def length(self) -> float:
        return self.chance.lognormvariate(0, SIGMA) * MEAN_SECONDS / 1.278  # e^(sigma^2 / 2)

    def step(self) -> None:
        if self.now >= self.busy_until and (chosen := self.ledger.take(self.reached)):
            self.stepping, self.busy_until = chosen, self.now + STEP_SECONDS

    def wait(self) -> None:
        """Until the next group is back, or the step is made."""
        back = self.running[0][0] if self.running else float("inf")
        if self.stepping and self.busy_until <= back:
            self.now = self.busy_until
            self.made()
        else:
            self.now, _, name, _, prompt = heapq.heappop(self.running)
            if prompt:
                size = prompt.sampling.group_size
                self.evaluation.arrive(a_scored_group(prompt, rewards=(1.0,) * size))
                self.publish()
            else:
                self.ledger.arrive(name, [self.ledger.in_flight[name].policy], self.reached)

    def made(self) -> None:
        for name in self.stepping:
            self.ledger.end(name, "trained")
        self.stepping = []
        self.reached = Policy(1, self.reached.version + 1)
        self.publish()

    def publish(self) -> None:
        """The newest policy, unless one is evaluated; its own evaluation, if it is its turn."""
        if self.evaluation.policy and self.way == "withheld":
            return
        new, self.published = self.published != self.reached, self.reached
        turn = self.way != "none" and self.evaluation.due(self.reached.version)
        if new and turn and not self.evaluation.policy:
            self.evaluation.begin(self.reached, 0.0)


def main() -> None:
    """Each bound in each way, over three seeds."""
    found: dict[str, dict[str, float]] = {}
    ways: tuple[Way, ...] = ("none", "withheld", "drifting")
    for bound in (0, 1, 2, 4, 8):
        pace = {way: fmean(Ring(way, bound, seed).run() for seed in range(3)) for way in ways}
        found[f"S = {bound}"] = {way: round(value, 1) for way, value in pace.items()}
        print(f"S = {bound}: {found[f'S = {bound}']} steps an hour")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
