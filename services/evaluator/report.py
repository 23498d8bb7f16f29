"""`result.md`: a result for people."""

from collections.abc import Sequence

from services.evaluator.result import Interval, Protocol, Result, SetResult

MEANING = """\
Accuracy is the mean over problems of the share of a problem's samples that are correct. In
brackets is its 95 % interval: where it may lie over all problems like these, not only over other
samples of these. pass@k is the chance that one of k samples is correct, maj@k that the answer most
of them give is. Truncated samples are judged by what is there; unverified ones, of which nobody
knows whether they are right, count as not correct. Whether two results differ says `openrs
compare`: that their intervals overlap does not.
"""


def report(result: Result) -> str:
    """The result as Markdown."""
    model = result.model
    parts = [
        f"# {model.name}",
        f"Weights {model.digest}, {model.dtype}.",
        table(result),
        MEANING.rstrip(),
        *_failures(result.sets),
        "## Protocol",
        settings(result.protocol),
        "## Versions",
        ", ".join(f"{name} {version}" for name, version in result.versions.items()),
    ]
    return "\n\n".join(parts) + "\n"


def with_interval(found: Interval) -> str:
    """Percent, with the interval: `31.0 [18.2, 45.1]`."""
    return f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"


def percent(share: float) -> str:
    """A share in percent, with one decimal."""
    return f"{100 * share + 0.0:.1f}"


def table(result: Result) -> str:
    """A line for each set, and for their average."""
    heads = ["set", "problems x samples", "accuracy, %", "pass@k, %", "maj@k, %"]
    heads += ["truncated, %", "unverified, %", "tokens"]
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)], *map(_row, result.sets)]
    if len(result.sets) > 1:
        rows.append(["average", "", with_interval(result.average), *[""] * (len(heads) - 3)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(found: SetResult) -> list[str]:
    highest = str(max(map(int, found.pass_at)))
    return [
        found.name,
        f"{found.problems} x {found.samples}",
        with_interval(found.accuracy),
        f"{percent(found.pass_at[highest])} at {highest}",
        f"{percent(found.maj_at[highest])} at {highest}",
        percent(found.truncated),
        percent(found.unverified),
        f"{found.tokens:.0f}",
    ]


def _failures(sets: Sequence[SetResult]) -> list[str]:
    """What a reader has to know before believing the table."""
    said = [
        f"{found.name}: {found.failed} of {found.failed + found.problems} problems could not be "
        "sampled and are left out."
        for found in sets
        if found.failed
    ]
    return said + [
        f"{found.name}: the two scorings differ on {found.disagreements} samples."
        for found in sets
        if found.disagreements
    ]


def settings(protocol: Protocol) -> str:
    """How samples were drawn and judged, as a table."""
    told = protocol.model_dump(exclude={"examples"}) | {"examples": len(protocol.examples)}
    rows = ["| | |", "|---|---|"]
    rows += [f"| {name} | {_cell(value)} |" for name, value in told.items() if value != ""]
    return "\n".join(rows)


def _cell(value: object) -> str:
    return "none" if value is None else str(value).replace("|", "\\|").replace("\n", "<br>")
