"""Word problems and chain sums without end, and a stand-in for the benchmarks where those are not.

The stand-in's problems say other things than the others: no problem of one is a renumbered copy
of one of the other.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

NAMES = (
    "Ada", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana", "Igor", "Juno", "Kofi",
    "Lena", "Marek", "Nia", "Omar", "Petra",
)  # fmt: skip
THINGS = (
    "apples", "marbles", "stamps", "coins", "pencils", "tickets", "shells", "buttons", "books",
)  # fmt: skip

CLEAN = (
    "{name} has {a} {thing} and buys {b} more. How many {thing} does {name} have now?",
    "A box holds {a} {thing}. How many {thing} are in {b} such boxes?",
    "{name} shares {c} {thing} equally among {a} friends. How many does each friend get?",
    "Every day {name} reads {a} pages. After how many pages has {name} read for {b} days?",
    "{name} had {c} {thing}, gave {a} of them to {other}, and lost {b}. How many are left?",
    "A train travels at {a} kilometres per hour for {b} hours. How far does it go?",
    "{name} earns {a} dollars an hour and works {b} hours. How many dollars is that?",
    "Tickets cost {a} euros each, and {name} pays with {c} euros. How many tickets can be bought?",
    "In a garden there are {a} rows of {b} trees each, and {name} cuts down {d}. "
    "How many trees remain?",
    "{name} is {a} years old and {other} is {b} years older. How old are the two together?",
    "A tank with {c} litres loses {a} litres a minute. How much is in it after {d} minutes?",
    "Find the perimeter of a rectangular field whose sides are {a} metres and {b} metres.",
)

BENCHMARK = (
    "Let $n$ be the least positive integer such that ${a}n+{b}$ is divisible by ${p}$. "
    "Find the remainder when $n^2$ is divided by ${q}$.",
    "A circle of radius ${a}$ is tangent to both legs of a right triangle whose hypotenuse has "
    "length ${c}$. What is the sum of the lengths of the legs?",
    "How many ordered pairs $(x,y)$ of positive integers satisfy $\\frac{{{a}}}{{x}}"
    "+\\frac{{{b}}}{{y}}=1$?",
    "{name} and {other} alternately roll a fair die with ${a}$ faces until somebody rolls a number "
    "above ${d}$. The probability that {name}, who goes first, wins is $\\frac{{m}}{{n}}$ in "
    "lowest terms. Compute $m+n$.",
    "The polynomial $x^3-{a}x^2+{b}x-{c}$ has roots $r$, $s$ and $t$. Evaluate $r^2+s^2+t^2$.",
    "In triangle $ABC$ we have $AB={a}$, $BC={b}$ and $\\angle ABC={d}^\\circ$. The bisector of "
    "$\\angle BAC$ meets $\\overline{{BC}}$ at $D$. Determine $BD$ to the nearest integer.",
    "A sequence is defined by $u_1={a}$, $u_2={b}$ and $u_{{k+2}}=u_{{k+1}}-u_k$ for $k\\geq 1$. "
    "What is the value of $u_{{{c}}}$?",
    "Suppose that $\\log_{{{a}}} x+\\log_{{{b}}} x={d}$. Express $x$ as a power of ${p}$.",
    "An urn contains ${a}$ red and ${b}$ blue balls. {name} draws ${d}$ of them without "
    "replacement. How many different outcomes show more red balls than blue ones?",
    "Complex numbers $z$ and $w$ satisfy $|z|={a}$, $|w|={b}$ and $|z+w|={c}$. "
    "Find the greatest possible real part of $z\\overline{{w}}$.",
    "A regular polygon with ${c}$ vertices is inscribed in the unit circle centred at the origin. "
    "For how many of its diagonals is the length at most $\\sqrt{{{d}}}$?",
    "Compute the number of subsets of $\\{{1,2,\\dots,{a}\\}}$ that contain no two consecutive "
    "integers and whose sum is divisible by ${d}$.",
)


@dataclass(frozen=True, slots=True)
class Planted:
    """A row of a data set or of a benchmark."""

    id: str
    problem: str
    answer: str


def clean(count: int, seed: int = 0) -> list[Planted]:
    """Different problems, three in four of words and the others chain sums."""
    drawn, found = random.Random(f"clean/{seed}"), {}
    while len(found) < count:
        text = _sum(drawn) if drawn.random() < 0.25 else _filled(drawn.choice(CLEAN), drawn)
        found[text] = str(drawn.randrange(2, 900))
    return [Planted(f"clean/{n}", *item) for n, item in enumerate(found.items())]


def stand_in(count: int, seed: int = 0) -> list[Planted]:
    """A benchmark of as many problems, of which no two are copies of each other but for numbers."""
    return [
        Planted(f"stand-in/{number}", text, str(number))
        for number, text in zip(range(count), _long(seed), strict=False)
    ]


def _long(seed: int) -> Iterator[str]:
    """Two statements and a question about both: as long as those of contests."""
    drawn, seen = random.Random(f"stand-in/{seed}"), set()
    while True:
        chosen = tuple(drawn.sample(BENCHMARK, 2))
        if chosen not in seen:
            seen.add(chosen)
            yield " ".join(_filled(template, drawn) for template in chosen)


def _filled(template: str, drawn: random.Random) -> str:
    name, other = drawn.sample(NAMES, 2)
    return template.format(
        name=name, other=other, thing=drawn.choice(THINGS), a=drawn.randrange(13, 60),
        b=drawn.randrange(3, 13), c=drawn.randrange(100, 900), d=drawn.randrange(2, 9),
        p=drawn.choice((5, 7, 11, 13)), q=drawn.choice((100, 1000)),
    )  # fmt: skip


def _sum(drawn: random.Random) -> str:
    terms = [drawn.randrange(1, 10) for _ in range(5)]
    signed = "".join(f"{drawn.choice('+-')}{term}" for term in terms[1:])
    return f"What is {terms[0]}{signed}?"
