"""`openrs export`: a checkpoint's model as a directory for others, whole or not at all."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrs_core.errors import RunError
from services.exporter import curve, hub
from services.exporter.card import CURVE, Facts, card
from services.exporter.files import Dtype, dtype_of, write_model
from services.exporter.license import README, license_of
from services.exporter.origin import Origin, find
from services.exporter.results import Results, results


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What of an export is the user's choice."""

    best: bool = False
    """The policy that did best on held-out problems, not the newest."""
    dtype: Dtype | None = None
    """Of the weights; None: as they are."""
    push: str = ""
    """The repository of the hub, `owner/name`; empty: nothing is published."""
    private: bool = False
    """Whether others may not read it."""
    results: tuple[Path, ...] = ()
    """Evaluations for the card, beside those that are found."""
    evals: Path = Path("evals")
    """Where evaluations of the model are looked for."""


def export(source: Path, directory: Path, wanted: Wanted) -> list[str]:
    """Write the model of a checkpoint, or of a run's, to a new directory; what was done, in lines.

    Raises:
        RunError: there is no checkpoint, or it is not as it was written, or the directory exists,
            or cannot be written; or the hub does not take it.
    """
    if directory.exists():
        raise RunError(f"directory {directory} exists; give one that does not")
    if wanted.private and not wanted.push:
        raise RunError("--private: nothing is published without --push; give --push owner/name too")
    there = hub.connect(wanted.push) if wanted.push else None
    origin = find(source, best=wanted.best)
    partial = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(origin, partial, wanted, wanted.push or directory.name)
        partial.rename(directory)
    except OSError as error:
        raise RunError(f"directory {directory}: {error.strerror}; give another") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    lines = [f"{directory}: the model of {origin.checkpoint}"]
    if there:
        address = hub.push(there, directory, wanted.push, private=wanted.private)
        lines.append(f"{address}: published{', for you alone' if wanted.private else ''}")
    return lines


def _write(origin: Origin, target: Path, wanted: Wanted, name: str) -> None:
    found = results(wanted.results, wanted.evals, origin.model)
    sampling = _sampling(origin, found)
    write_model(origin.model, target, wanted.dtype, _defaults(sampling))
    facts = Facts(
        name=name,
        license=license_of(origin.recipe.model.path) if origin.recipe else "",
        results=found.text(),
        has_curve=curve.draw(origin.record.evaluations, origin.version, target / CURVE),
        dtype=dtype_of(target),
        sampling=sampling,
    )
    (target / README).write_text(card(origin, facts), encoding="utf-8")


def _sampling(origin: Origin, found: Results) -> dict[str, float]:
    """How others should draw: as it was evaluated, after the training or else while it went on."""
    for result in found.own:
        return {"temperature": result.protocol.temperature, "top_p": result.protocol.top_p}
    if origin.recipe is None:
        return {}
    rules = origin.recipe.evaluation
    return {"temperature": rules.temperature, "top_p": rules.top_p}


def _defaults(sampling: Mapping[str, float]) -> dict[str, Any]:
    greedy = sampling.get("temperature") == 0  # which transformers has another word for
    return {"do_sample": False} if greedy else {"do_sample": True, **sampling} if sampling else {}
