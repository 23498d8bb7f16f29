"""Which results can be paired: the same problems, asked and judged in the same way.

What may differ: the model, of course; the seeds; the protocol's name.
"""

from collections.abc import Sequence
from typing import Any

from openrs_core.errors import RunError
from services.evaluator.result import Result, SetResult

FREE = {"preset", "seed"}
"""Of the protocol, what may differ."""


def paired(results: dict[str, Result], only: Sequence[str] = ()) -> dict[str, Result]:
    """The results, by label, with the same sets in the same order.

    Args:
        results: the first one is the reference.
        only: names of the sets to be compared; none: all of them.

    Raises:
        RunError: they cannot be paired; it names the field and both values.
    """
    chosen = {label: _only(label, result, only) for label, result in results.items()}
    (first, reference), *others = chosen.items()
    for label, result in others:
        _refuse_protocol(first, reference, label, result)
        _refuse_sets(first, reference, label, result)
    order = [found.name for found in reference.sets]
    return {label: _with_sets(result, order) for label, result in chosen.items()}


def remarks(results: dict[str, Result]) -> list[str]:
    """What a reader should know of pairs that are allowed."""
    (first, reference), *others = results.items()
    return [
        remark
        for label, result in others
        for remark in (
            _same_draws(first, reference, label, result),
            *_other_versions(first, reference, label, result),
        )
        if remark
    ]


def _only(label: str, result: Result, only: Sequence[str]) -> Result:
    there = [found.name for found in result.sets]
    for name in only:
        if name not in there:
            raise RunError(f"--only {name}: {label} has {', '.join(there)}")
    return _with_sets(result, only or there)


def _with_sets(result: Result, names: Sequence[str]) -> Result:
    by_name = {found.name: found for found in result.sets}
    return result.model_copy(update={"sets": [by_name[name] for name in names]})


def _refuse_protocol(first: str, reference: Result, label: str, result: Result) -> None:
    theirs = result.protocol.model_dump()
    for field, ours in reference.protocol.model_dump().items():
        if field not in FREE and theirs[field] != ours:
            raise _unlike(f"protocol.{field}", first, ours, label, theirs[field])


def _refuse_sets(first: str, reference: Result, label: str, result: Result) -> None:
    ours, theirs = ({found.name: found for found in r.sets} for r in (reference, result))
    if ours.keys() != theirs.keys():
        both = [name for name in ours if name in theirs]
        remedy = f"; compare what both have: {' '.join(f'--only {name}' for name in both)}"
        raise RunError(
            f"sets: {', '.join(ours)} in {first}, {', '.join(theirs)} in {label}"
            f"{remedy if both else ''}"
        )
    for name, found in ours.items():
        _refuse_problems(first, found, label, theirs[name])


def _refuse_problems(first: str, found: SetResult, label: str, other: SetResult) -> None:
    for field in ("digest", "samples"):
        if getattr(found, field) != getattr(other, field):
            raise _unlike(
                f"{found.name}.{field}", first, getattr(found, field), label, getattr(other, field)
            )
    for here, there, lacking in ((found, other, label), (other, found, first)):
        if gone := [id for id in here.means() if id not in there.means()]:
            raise RunError(
                f"{found.name}: {lacking} lacks {len(gone)} of the problems, the first is "
                f"{gone[0]}; evaluate again without leaving failed ones out"
            )


def _unlike(field: str, first: str, ours: Any, label: str, theirs: Any) -> RunError:
    return RunError(
        f"{field}: {ours!r} in {first}, {theirs!r} in {label}; evaluate both in the same way"
    )


def _same_draws(first: str, reference: Result, label: str, result: Result) -> str:
    seed = reference.protocol.seed
    same = (reference.model.digest, seed) == (result.model.digest, result.protocol.seed)
    if not same or seed is None:
        return ""
    return f"{first} and {label} are the same weights with the same seed: not two draws but one"


def _other_versions(first: str, reference: Result, label: str, result: Result) -> list[str]:
    return [
        f"{name} {version} in {first}, {result.versions.get(name, 'none')} in {label}"
        for name, version in reference.versions.items()
        if result.versions.get(name) != version
    ]
