"""What is left after each stage, and what went, by name and reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.curator.candidates import Candidate


@dataclass(frozen=True, slots=True)
class Why:
    """Why a candidate goes."""

    reason: str
    detail: str = ""
    """What differs from one candidate to the next, such as which other one it repeats."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A candidate that went."""

    id: str
    stage: str
    why: Why


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage did."""

    name: str
    before: int
    kept: int
    reasons: Mapping[str, int]
    """How many went for each, the most frequent first."""


@dataclass(slots=True)
class Funnel:
    """All stages so far."""

    stages: list[Stage] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)

    def sift(
        self, stage: str, candidates: Sequence[Candidate], faults: Mapping[str, Why]
    ) -> list[Candidate]:
        """Those without a fault (by id); the others are booked."""
        kept = [each for each in candidates if each.id not in faults]
        gone = [Gone(each.id, stage, faults[each.id]) for each in candidates if each.id in faults]
        self.book(stage, len(kept), gone)
        return kept

    def book(self, stage: str, kept: int, gone: Sequence[Gone]) -> None:
        """A stage after which so many are left."""
        counted = Counter(each.why.reason for each in gone)
        reasons = dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
        self.stages.append(Stage(stage, kept + len(gone), kept, reasons))
        self.gone += gone

    def __str__(self) -> str:
        """`usable 900 of 1000, contamination 870 of 900`"""
        return ", ".join(f"{stage.name} {stage.kept} of {stage.before}" for stage in self.stages)
