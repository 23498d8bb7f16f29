"""`openrs curator`: sifts by text, asks the model through the ring, writes the data set.

Consumes scored groups, waits for the answers to what it asks, is unblocked by the scorer, hands on
the prompts of a stage and, in the end, a data set. Every life sifts the texts anew, which gives the
same; what the model answered is in the journal.
"""

from collections.abc import Callable
from pathlib import Path

from openrs_core.lifecycle import Settings, running
from openrs_core.recipe.curate import CurateRecipe
from openrs_core.record.directory import keep_recipe
from openrs_core.record.lines import ProgressLine
from services.curator.answers import Answers
from services.curator.asking import Question, judging, solving
from services.curator.curation import Curation, sift_by_text
from services.curator.dataset import write_dataset
from services.curator.funnel import Stage
from services.issuing.seat import Seat, seated


def main(recipe: CurateRecipe, settings: Settings, runs: Path) -> None:
    """Curate to the end, or until told to stop; goes on where its directory says."""
    directory = runs / settings.run
    with running("curator", settings) as stop, seated(recipe, settings, directory, stop) as seat:

        def note(stage: Stage) -> None:
            seat.record.add(
                ProgressLine(stage=stage.name, done=stage.kept, total=stage.before, tokens=0)
            )

        curation = sift_by_text(recipe, note)
        stop.ready()
        if ask(curation, seat):
            write_dataset(directory, curation, curation.mixed())


def curate_texts(recipe: CurateRecipe, directory: Path, note: Callable[[Stage], None]) -> None:
    """All of a curation that asks no model, without a ring.

    Raises:
        RunError: a source or a benchmark cannot be read, or nothing is left.
    """
    curation = sift_by_text(recipe, note)
    mixture = curation.mixed()
    keep_recipe(directory, recipe)
    write_dataset(directory, curation, mixture)


def ask(curation: Curation, seat: Seat) -> bool:
    """Ask what the recipe wants asked; False when told to stop before all is answered."""
    recipe = curation.recipe
    if recipe.curate.judge.ask:
        answers = _answers(curation, seat, judging(recipe, seat.tokenizer), "judging")
        if answers is None:
            return False
        curation.sift_judged(answers)
    if recipe.curate.solve.samples:
        answers = _answers(curation, seat, solving(recipe, seat.tokenizer), "solving")
        if answers is None:
            return False
        curation.sift_solved(answers)
    return True


def _answers(curation: Curation, seat: Seat, question: Question, doing: str) -> Answers | None:
    """What came back about all that are left; None when told to stop before."""
    curation.sift_askable(question)
    prompts = question.prompts(curation.left, seat.begun)
    survey = seat.survey(doing, prompts, curation.recipe.curate.in_flight)
    survey.run()
    return Answers(question, seat.journal, survey.failures) if survey.is_done else None
