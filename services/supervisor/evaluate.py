"""`openrs eval`: measures a model, with a ring of processes on this machine."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe.eval import EvalRecipe
from openrs_core.recipe.file import load_as
from openrs_core.record.directory import RECIPE
from services.evaluator.finish import REPORT
from services.evaluator.inspect_log import refuse_missing, write_logs
from services.evaluator.request import Request, recipe_of
from services.evaluator.result import RESULT, Result, read_result
from services.model.directory import model_directory
from services.model.size import longest_context
from services.supervisor.progress import ProgressView
from services.supervisor.ring import EXIT_STOPPED, Client, Plan, run, run_directory


def main(request: Request, overrides: Sequence[str], plan: Plan, *, inspect: bool) -> int:
    """Evaluate to the end; returns the exit code. `inspect`: write its logs, too."""
    if inspect:
        refuse_missing()
    recipe = kept_recipe(plan) if plan.resume else recipe_of(request, overrides)
    directory = run_directory(recipe, plan, RESULT)
    refuse_too_long(recipe)
    client = Client(role="evaluator", result=RESULT, view=ProgressView)
    code = run(recipe, directory, plan, Path.cwd(), client)
    if code == 0:
        if inspect:
            write_logs(directory)
        sys.stderr.write((directory / REPORT).read_text() + f"\ndirectory: {directory}\n")
        sys.stdout.write(_line(read_result(directory), directory) + "\n")
    elif code == EXIT_STOPPED:
        sys.stderr.write(
            f"stopped; `openrs eval --run {directory.name} --evals {plan.runs} --resume` goes on\n"
        )
    return code


def kept_recipe(plan: Plan) -> EvalRecipe:
    """That of the evaluation which is to go on.

    Raises:
        RunError: it is not named, or not there.
    """
    if not plan.run:
        raise RunError("--resume: which one? name it with --run")
    return load_as(EvalRecipe, plan.runs / plan.run / RECIPE)


def refuse_too_long(recipe: EvalRecipe) -> None:
    """Raise RunError where prompt and completion may be longer than the model was made for."""
    most, asked = longest_context(model_directory(recipe)), recipe.data.max_prompt_tokens
    if recipe.longest_sequence <= most:
        return
    remedy = f"give at most {most - asked}" if asked < most else "shorten both"
    raise RunError(
        f"--max-tokens {recipe.sampler.max_tokens}: with prompts of up to {asked} tokens "
        f"(--set data.max_prompt_tokens=...) that is more than the {most} the model was made for; "
        f"{remedy}"
    )


def _line(result: Result, directory: Path) -> str:
    """The result in one line of JSON."""
    accuracy = {each.name: each.accuracy.model_dump() for each in result.sets}
    found = {
        "model": result.model.name,
        "directory": str(directory),
        "accuracy": accuracy,
        "average": result.average.model_dump(),
    }
    return json.dumps(found)
