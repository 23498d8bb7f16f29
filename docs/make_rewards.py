"""Make the pictures of docs/rewards.md from the rewards themselves: `make reward-pictures`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1]))

from openrs_core.recipe.scorer import CosineSection, OverlongSection, RepetitionSection
from services.evaluator.pictures import STYLE
from services.scorer.rewards.form import reasoning_steps
from services.scorer.rewards.length import beside_siblings, cosine, overlong
from services.scorer.rewards.repetition import repetition

PICTURES = Path(__file__).parent / "pictures"

plt.style.use(STYLE)

Curves = Mapping[str, Callable[[int], float]]

SHIPPED = CosineSection(
    max_length=3584, unit="characters", clamp=False, correct=(1.0, 0.5), incorrect=(0.0, -0.5)
)
MEANT = CosineSection()
DAPO, WHOLE = OverlongSection(), OverlongSection(share=1.0)
THREES = RepetitionSection()


def looping(tokens: int, circle: int) -> float:
    """The repetition of 500 different tokens, then the same few again and again."""
    ids = [n if n < 500 else 1000 + n % circle for n in range(tokens)]
    return repetition(ids, THREES)


DRAWN: tuple[tuple[str, str, Sequence[int], Curves], ...] = (
    (
        "cosine",
        "length: tokens, or characters as Open-RS shipped it",
        range(0, 10_753, 128),
        {
            "correct": lambda n: cosine(n, True, MEANT),
            "wrong": lambda n: cosine(n, False, MEANT),
            "correct, as shipped": lambda n: cosine(n, True, SHIPPED),
            "wrong, as shipped": lambda n: cosine(n, False, SHIPPED),
        },
    ),
    (
        "length",
        "tokens, where the shortest of the group has 1,000 and the longest 3,000",
        range(1000, 3001, 100),
        {
            "correct": lambda n: beside_siblings(n, True, 1000, 3000),
            "wrong": lambda n: beside_siblings(n, False, 1000, 3000),
        },
    ),
    (
        "overlong",
        "tokens, where max_tokens is 4,096",
        range(0, 4097, 64),
        {
            "share = 0.2": lambda n: overlong(n, 4096, DAPO),
            "share = 1": lambda n: overlong(n, 4096, WHOLE),
        },
    ),
    (
        "repetition",
        "tokens of a completion that goes in circles from its 500th on",
        range(0, 3001, 50),
        {
            f"a circle of {length}": lambda n, length=length: looping(n, length)
            for length in (1, 100, 400)
        },
    ),
    (
        "reasoning_steps",
        "markers of a step",
        range(7),
        {"reasoning_steps": lambda n: reasoning_steps("- so\n" * n)},
    ),
)
"""Name, what it is drawn along, where, and its curves."""


def main() -> None:
    """All of them."""
    for drawn in DRAWN:
        draw(*drawn)


def draw(name: str, along: str, at: Sequence[int], curves: Curves) -> None:
    """One picture, docs/pictures/reward-NAME.svg."""
    figure, axes = plt.subplots(figsize=(4.6, 2.4), layout="constrained")
    for number, (label, value) in enumerate(curves.items()):
        style = "--" if "shipped" in label else "-"
        axes.plot(
            at,
            [round(value(n), 4) for n in at],
            style,
            color=f"C{number % 2 if len(curves) == 4 else number}",
            label=label,
        )
    axes.set(xlabel=along, ylabel=name)
    if len(curves) > 1:
        figure.legend(fontsize=6, frameon=False, loc="outside right upper")
    target = PICTURES / f"reward-{name}.svg"
    figure.savefig(target, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    print(target)


if __name__ == "__main__":
    main()
