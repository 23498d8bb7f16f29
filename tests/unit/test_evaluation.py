"""Held-out accuracy: what is asked, and what is made of the answers."""

from dataclasses import replace
from pathlib import Path

import pytest

from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from services.issuing.evaluation import Evaluation
from services.issuing.problems import Problem
from tests.builders import a_scored_group

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"


def an_evaluation(problems: int = 3) -> Evaluation:
    return Evaluation(
        load(TOY), [Problem(f"p{number}", "1+6?", (1, 2), "7") for number in range(problems)]
    )


def test_an_evaluation_is_the_mean_over_problems():
    evaluation = an_evaluation()
    evaluation.begin(Policy(1, 0), now=0.0)
    for number, prompt in enumerate(evaluation.next_prompts(alone=True)):
        group = a_scored_group(
            prompt, rewards=[float(number % 3 == 0)] * prompt.sampling.group_size
        )
        evaluation.arrive(group)
    assert [(r.mode, r.accuracy, r.problems) for r in evaluation.finished()] == [
        ("sampled", pytest.approx(1 / 3), 3),
        ("greedy", pytest.approx(1 / 3), 3),
    ]
    assert not evaluation.pending


def test_a_prompt_says_what_its_problem_says_about_the_thought():
    problems = [Problem("p", "1+6?", (1, 2), "7", thought_open=each) for each in (True, False)]
    evaluation = Evaluation(load(TOY), problems)
    evaluation.begin(Policy(1, 0), now=0.0)
    opened = [prompt.thought_open for prompt in evaluation.next_prompts(alone=True)]
    assert opened == [True, False] * 2, "sampled and greedy"


def test_unverified_is_what_nobody_knows_and_not_what_took_too_much():
    evaluation = an_evaluation(problems=1)
    evaluation.begin(Policy(1, 0), now=0.0)
    for prompt in evaluation.next_prompts(alone=True):
        group = a_scored_group(prompt, rewards=[0.0] * prompt.sampling.group_size)
        first, *others = group.scores
        verdict = "error" if prompt.sampling.temperature else "timeout"
        evaluation.arrive(replace(group, scores=(replace(first, verdict=verdict), *others)))
    assert [(r.mode, r.unverified) for r in evaluation.finished()] == [
        ("sampled", 1),
        ("greedy", 0),
    ]


def test_an_evaluation_leaves_room_for_training():
    """Beside training, no more than a step's worth of it is in flight."""
    evaluation = an_evaluation(problems=500)
    evaluation.begin(Policy(1, 20), now=0.0)
    recipe = load(TOY).learner
    most = recipe.groups_per_step * recipe.group_size
    first = list(evaluation.next_prompts(alone=False))
    assert len(first) == most
    assert list(evaluation.next_prompts(alone=False)) == []
    evaluation.arrive(a_scored_group(first[0], rewards=[1.0]))
    assert len(list(evaluation.next_prompts(alone=False))) == 1
