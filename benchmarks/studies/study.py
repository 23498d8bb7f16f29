"""What a study compares."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Arm:
    """One choice: its name in tables, and the recipe's values that make it."""

    name: str
    settings: tuple[str, ...] = ()
    """As `--set` takes them."""


@dataclass(frozen=True, slots=True)
class Study:
    """Arms that differ in one thing, on the same task and the same seeds."""

    name: str
    title: str
    common: tuple[str, ...]
    """Values of all arms."""
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0, 1)
    limit_seconds: float = 300.0
    """A run that takes longer is stopped, and counts as it stands: groups without signal are
    replaced for ever, so a run that collapsed may never end."""
    more: tuple[Arm, ...] = ()
    """Arms that are run when they are named: the rest of the grid."""
    panels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Title and arms of each panel of the picture; empty: one with all."""
    recipe: Path = ROOT / "recipes" / "toy.toml"

    def settings(self, arm: Arm, seed: int) -> tuple[str, ...]:
        """All values of one run."""
        return (*self.common, *arm.settings, f"seed={seed}")

    def digest(self, arm: Arm, seed: int) -> str:
        """Equal for runs that are told the same."""
        told = [self.recipe.read_text(), *self.settings(arm, seed), str(self.limit_seconds)]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
