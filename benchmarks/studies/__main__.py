"""`make study NAME=staleness`: run what is missing of a study, then write its table and picture.

A run that is known is not made again, so a study that was interrupted goes on where it was.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.studies import experiments, shapes, stabilisers, staleness
from benchmarks.studies.page import write
from benchmarks.studies.results import keep, kept, of_arm
from benchmarks.studies.run import run
from benchmarks.studies.study import Arm, Study

STUDIES = {
    study.name: study
    for study in (*staleness.STUDIES, *stabilisers.STUDIES, *shapes.STUDIES, *experiments.STUDIES)
}


def main(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Studies, or all.")],
    seeds: Annotated[str, typer.Option(help="Other seeds than the study's, e.g. 0,1,2.")] = "",
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arm", help="Only this arm, also of the rest of the grid; as often as needed."
        ),
    ] = None,
    pages: Annotated[bool, typer.Option("--pages", help="Run nothing, write the page.")] = False,
) -> None:
    """Run what is missing of some studies, then write their tables and pictures."""
    wanted = list(STUDIES) if names == ["all"] else names
    if unknown := [name for name in wanted if name not in STUDIES]:
        raise typer.BadParameter(f"{unknown[0]}: there is no such study; {', '.join(STUDIES)}")
    for name in wanted:
        study = STUDIES[name]
        chosen = _chosen(study, arms)
        if not pages:
            _fill(study, chosen, tuple(map(int, seeds.split(","))) if seeds else study.seeds)
        write(study)


def _chosen(study: Study, names: list[str] | None) -> tuple[Arm, ...]:
    if not names:
        return study.arms
    known = {arm.name: arm for arm in (*study.arms, *study.more)}
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{study.name} has no arm {unknown[0]!r}, but {list(known)}")
    return tuple(known[name] for name in names)


def _fill(study: Study, arms: tuple[Arm, ...], seeds: tuple[int, ...]) -> None:
    runs = Path(tempfile.gettempdir()) / "openrs-studies"
    known = kept(study)
    asked = [(arm, seed) for seed in seeds for arm in arms]
    for number, (arm, seed) in enumerate(asked, 1):
        where = f"{study.name} {number}/{len(asked)}: {arm.name}, seed {seed}"
        if seed in {result.seed for result in of_arm(study, arm, known)}:
            sys.stderr.write(f"{where}: known\n")
            continue
        result = run(study, arm, seed, runs)
        keep(study, result)
        curve = " ".join(f"{accuracy:.2f}" for _, accuracy, _ in result.evaluations)
        sys.stderr.write(
            f"{where}: {curve}; {result.steps} steps, {result.seconds:.0f} s, {result.ended}\n"
        )


if __name__ == "__main__":
    typer.run(main)
