"""`openrs compare`: results against a reference, as text, JSON or a picture."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from openrs_core.errors import RunError
from services.evaluator.comparison import AVERAGE, Comparison, compared
from services.evaluator.pairing import paired, remarks
from services.evaluator.report import percent
from services.evaluator.result import Result, read_result, rounded

EXPLAINED = """\
Points of accuracy over the same problems; in brackets a 95 % interval of each difference by itself.
p by sign flips, corrected for all comparisons ({tests}, Holm). detectable: what so many samples
would show 4 times of 5, at 5 % uncorrected."""

Compared = dict[str, list[Comparison]]
"""By the label of what is compared with the reference."""


def compare(
    paths: Sequence[Path], *, only: Sequence[str], as_json: bool, picture: Path | None
) -> str:
    """What is known of the results' differences; the first one is the reference.

    Raises:
        RunError: fewer than two, one that cannot be read, or some that cannot be paired.
    """
    if len(paths) < 2:
        raise RunError(f"{len(paths)} result to compare: give two or more, the reference first")
    _refuse_bare(["scipy", *(["matplotlib"] if picture else [])])
    results = paired(_read(paths), only)
    reference, *others = results
    found = dict(
        zip(others, compared(results[reference], [results[o] for o in others]), strict=True)
    )
    if picture:
        _draw(reference, found, picture)
    shown = _as_json if as_json else _as_text
    return shown(reference, results, found)


def sentence(reference: str, label: str, found: Comparison) -> str:
    """What one comparison says, in words."""
    where = "all sets" if found.name == AVERAGE else found.name
    drawn = f"{found.problems} problems and {found.samples} samples"
    known = f"{_points(found)}, p {_p(found.corrected)}"
    if found.verdict != "no difference":
        return f"{label} is {found.verdict} than {reference} on {where}: {known}."
    if found.detectable is None:
        return f"{label} and {reference} on {where}: no difference in {drawn}: {known}."
    alone = (
        ", an interval that leaves out 0 as one of many may by chance" if found.is_off_zero else ""
    )
    seen = (
        f"one of {percent(found.detectable)} points, compared alone, they would show 4 times of 5"
    )
    return (
        f"{label} and {reference} on {where}: no difference that these {drawn} can show: {known}"
        f"{alone}; {seen}."
    )


def _refuse_bare(needed: Sequence[str]) -> None:
    for library in needed:
        if not find_spec(library):
            raise RunError(f"{library} is not installed: pip install 'openrs[eval]'")


def _read(paths: Sequence[Path]) -> dict[str, Result]:
    """By the names of their directories; by their whole paths where those are not different."""
    names = [path.resolve() if path.is_dir() else path.resolve().parent for path in paths]
    labels = [name.name for name in names]
    if len(set(labels)) < len(labels):
        labels = [str(path) for path in paths]
    if len(set(labels)) < len(labels):
        raise RunError(f"results {' '.join(labels)}: one is named twice; give each once")
    return {label: read_result(path) for label, path in zip(labels, paths, strict=True)}


def _draw(reference: str, found: Compared, picture: Path) -> None:
    from services.evaluator.pictures import forest

    bars = [
        (
            one.name if len(found) == 1 else f"{label}, {one.name}",
            100 * one.difference.value,
            100 * one.difference.low,
            100 * one.difference.high,
        )
        for label, each in found.items()
        for one in each
    ]
    who = next(iter(found)) if len(found) == 1 else "accuracy"
    forest(bars, f"{who} less {reference}, points, with its 95 % interval", picture, reference=0)


def _as_text(reference: str, results: dict[str, Result], found: Compared) -> str:
    parts = [
        "\n".join([f"{label} against {reference}", "", *_table(reference, label, each)])
        + "\n\n"
        + "\n".join(sentence(reference, label, one) for one in _summed(each))
        for label, each in found.items()
    ]
    tests = sum(map(len, found.values()))
    parts.append(EXPLAINED.format(tests=tests))
    parts += [f"note: {remark}" for remark in remarks(results)]
    return "\n\n".join(parts)


def _summed(each: Sequence[Comparison]) -> list[Comparison]:
    """What is said in words: the last one, which is of all, and others that are off 0."""
    whole = each[-1]
    return [whole, *(one for one in each[:-1] if one.is_off_zero)]


def _table(reference: str, label: str, each: Sequence[Comparison]) -> list[str]:
    heads = ["set", "problems", "samples", reference, label, "difference", "p", "detectable", ""]
    rows = [heads, *map(_row, each)]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(wide[0]), *map(str.rjust, row[1:-1], wide[1:]), row[-1]]).rstrip()
        for row in rows
    ]


def _row(found: Comparison) -> list[str]:
    return [
        found.name,
        str(found.problems),
        str(found.samples),
        percent(found.reference),
        percent(found.accuracy),
        _interval(found),
        _p(found.corrected).removeprefix("= "),
        "" if found.detectable is None else percent(found.detectable),
        found.verdict,
    ]


def _interval(found: Comparison) -> str:
    low, high = percent(found.difference.low), percent(found.difference.high)
    return f"{100 * found.difference.value + 0.0:+.1f} [{low}, {high}]"


def _points(found: Comparison) -> str:
    return _interval(found).replace(" [", " points [")


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _as_json(reference: str, results: dict[str, Result], found: Compared) -> str:
    table = {
        "reference": reference,
        "models": {label: result.model.model_dump() for label, result in results.items()},
        "comparisons": [
            {"of": label, **_fields(one), "says": sentence(reference, label, one)}
            for label, each in found.items()
            for one in each
        ],
        "remarks": remarks(results),
    }
    return json.dumps(table, indent=2, ensure_ascii=False)


def _fields(found: Comparison) -> dict[str, object]:
    error, smallest = found.difference.standard_error, found.detectable
    return {
        "set": found.name,
        "problems": found.problems,
        "samples": found.samples,
        "reference": rounded(found.reference),
        "accuracy": rounded(found.accuracy),
        "difference": rounded(found.difference.value),
        "standard_error": None if error is None else rounded(error),
        "low": rounded(found.difference.low),
        "high": rounded(found.difference.high),
        "p": rounded(found.p),
        "corrected": rounded(found.corrected),
        "detectable": None if smallest is None else rounded(smallest),
        "verdict": found.verdict,
    }
