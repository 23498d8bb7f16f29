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
        """Dead-letter stream: bytes, reason and origin of what could not be read or used."""
        return f"openrs:{self.run}:buried"

    @property
    def manifests(self) -> str:
        """Stream of weight manifests, newest last."""
        return f"openrs:{self.run}:weights"

    def chunks(self, incarnation: int, payload: int) -> str:
        """Stream of the chunks of one delta or snapshot."""
        return f"openrs:{self.run}:weights:{incarnation}:{payload}"

    @property
    def wanted(self) -> str:
        """Set by a sampler that needs a snapshot, with its name."""
        return f"openrs:{self.run}:weights-wanted"

    @property
    def taken(self) -> str:
        """Stream of what samplers put in force, newest last."""
        return f"openrs:{self.run}:weights-taken"

    @property
    def recipe(self) -> str:
        """The run's resolved recipe, JSON."""
        return f"openrs:{self.run}:recipe"

    @property
    def incarnation(self) -> str:
        """Counter of the learner's lives, and the fencing token: an earlier life may not write."""
        return f"openrs:{self.run}:incarnation"

    @property
    def learner(self) -> str:
        """The lease of the run's one learner."""
        return f"openrs:{self.run}:learner"


GROUP = "openrs"
"""The one consumer group of every stage."""
