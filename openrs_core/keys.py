"""Every Redis name of a run; the only place that spells one."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["prompts", "rollouts", "scored"]
STAGES: tuple[Stage, ...] = ("prompts", "rollouts", "scored")


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one run."""

    run: str

    def stage(self, stage: Stage) -> str:
        """Stream of work waiting for one kind of process."""
        return f"openrs:{self.run}:{stage}"

    @property
    def buried(self) -> str:
        """Dead-letter stream: bytes, reason and origin of what could not be decoded."""
        return f"openrs:{self.run}:buried"

    @property
    def manifests(self) -> str:
        """Stream of weight manifests, newest last."""
        return f"openrs:{self.run}:weights"

    def chunks(self, incarnation: int, version: int) -> str:
        """Stream of the chunks of one policy version."""
        return f"openrs:{self.run}:weights:{incarnation}:{version}"

    @property
    def recipe(self) -> str:
        """The run's resolved recipe, JSON."""
        return f"openrs:{self.run}:recipe"

    @property
    def incarnation(self) -> str:
        """Counter of the learner's lives."""
        return f"openrs:{self.run}:incarnation"


GROUP = "openrs"
"""The one consumer group of every stage."""
