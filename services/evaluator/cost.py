"""What an evaluation took: `cost.json`, beside the result, which no machine's speed changes."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from openrs_core.record.directory import write_whole
from openrs_core.record.lines import LifeLine, Line, ProgressLine
from openrs_core.record.reader import RecordReader

COST = "cost.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of all lives of the evaluator together."""

    seconds: float
    """By the clock, while the evaluator was there: loading vLLM is in it."""
    tokens: int
    """Completion tokens that came back; what a sampler lost when it was killed is not in it."""
    tokens_per_second: float
    dollars: float | None
    """None: the price of the machine is not known."""


def cost(lines: Iterable[Line], dollars_per_hour: float) -> Cost:
    """From the lines of the record; each life counts from its beginning to its last sign."""
    seconds, tokens = [0.0], [0]
    begun = 0.0
    for line in lines:
        if isinstance(line, LifeLine):
            begun = line.time
            seconds.append(0.0)
            tokens.append(0)
        elif isinstance(line, ProgressLine):
            seconds[-1], tokens[-1] = line.time - begun, line.tokens
    spent, made = sum(seconds), sum(tokens)
    return Cost(
        seconds=round(spent, 1),
        tokens=made,
        tokens_per_second=round(made / spent, 1) if spent else 0.0,
        dollars=round(spent / 3600 * dollars_per_hour, 2) if dollars_per_hour else None,
    )


def write_cost(directory: Path, dollars_per_hour: float) -> None:
    """Write `cost.json` from the record in the directory."""
    found = cost(RecordReader(directory).follow(), dollars_per_hour)
    write_whole(directory / COST, json.dumps(asdict(found), indent=2) + "\n")
