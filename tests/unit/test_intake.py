"""What the learner lets in, and what a sampler takes on: nothing but what was asked for."""

from dataclasses import replace

import pytest

from openrs_core.ledger import Policy
from openrs_core.wire.messages import PolicyRun, ScoredGroup
from services.issuing.intake import fault
from services.sampler.limits import Limits
from services.sampler.loop import is_over
from tests.builders import a_prompt, a_scored_group

NOW = Policy(2, 5)
ISSUED = a_prompt()


def changed(**changes) -> ScoredGroup:
    """A group whose first completion differs from an honest one."""
    group = a_scored_group(ISSUED)
    first, *others = group.rollout.completions
    completions = (replace(first, **changes), *others)
    return replace(group, rollout=replace(group.rollout, completions=completions))


def made_by(incarnation: int, version: int) -> ScoredGroup:
    return changed(policies=(PolicyRun(incarnation=incarnation, version=version, count=2),))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"token_ids": (1, 2)}, "token_ids"),
        ({"answer": "8"}, "answer"),
        ({"prompt_id": "another"}, "prompt_id"),
        ({"issued_at": 0.5}, "issued_at"),
        ({"issued_version": 4}, "issued_version"),
        ({"purpose": "eval"}, "purpose"),
        ({"sampling": replace(ISSUED.sampling, max_tokens=9)}, "sampling"),
        ({"sampling": replace(ISSUED.sampling, temperature=0.5)}, "sampling"),
    ],
)
def test_another_prompt_under_the_same_group_id_is_refused(changes, named):
    found = fault(a_scored_group(replace(ISSUED, **changes)), ISSUED, NOW, 100)
    assert found == f"not as it was issued: {named}"


def test_a_group_of_another_size_is_refused():
    group = a_scored_group(a_prompt(group_size=3), rewards=(1.0, 0.0, 0.0))
    assert fault(group, ISSUED, NOW, 100) == "not as it was issued: sampling"


@pytest.mark.parametrize(("incarnation", "version"), [(2, 0), (2, 5), (1, 0), (1, 900)])
def test_a_policy_of_this_life_or_an_earlier_one_may_have_been_published(incarnation, version):
    assert fault(made_by(incarnation, version), ISSUED, NOW, 100) == ""


@pytest.mark.parametrize(("incarnation", "version"), [(2, 6), (3, 0), (0, 0)])
def test_a_policy_that_cannot_have_been_published_is_refused(incarnation, version):
    said = f"policy {incarnation}:{version} was never published"
    assert fault(made_by(incarnation, version), ISSUED, NOW, 100) == said


@pytest.mark.parametrize("made_by", [(1, 3), (1, 5), (2, 3)])
def test_what_another_policy_made_of_an_evaluation_is_refused(made_by):
    """Of the training it may be of any policy that was published."""
    incarnation, version = made_by
    runs = (
        PolicyRun(incarnation=1, version=4, count=1),
        PolicyRun(incarnation=incarnation, version=version, count=1),
    )
    for purpose, said in (
        ("train", ""),
        ("eval", f"policy {incarnation}:{version} made tokens of an evaluation of policy 1:4"),
    ):
        issued = a_prompt(purpose=purpose, version=4)
        group = a_scored_group(issued)
        drawn = tuple(replace(each, policies=runs) for each in group.rollout.completions)
        group = replace(group, rollout=replace(group.rollout, completions=drawn))
        assert fault(group, issued, NOW, 100) == said


@pytest.mark.parametrize("made_by", [(1, 0), (2, 0)])
def test_the_base_model_is_the_same_in_every_life(made_by):
    """So an evaluation of it alone goes on after a restart."""
    issued, (incarnation, version) = a_prompt(purpose="eval"), made_by
    group = a_scored_group(issued)
    run = PolicyRun(incarnation=incarnation, version=version, count=2)
    drawn = tuple(replace(each, policies=(run,)) for each in group.rollout.completions)
    group = replace(group, rollout=replace(group.rollout, completions=drawn))
    assert fault(group, issued, NOW, 100) == ""


def test_what_its_own_policy_made_of_an_evaluation_is_taken():
    issued = a_prompt(purpose="eval", version=4)
    assert fault(a_scored_group(issued, version=4), issued, NOW, 100) == ""


def test_a_token_outside_the_vocabulary_is_refused():
    assert fault(changed(token_ids=(4, 99)), ISSUED, NOW, 100) == ""
    assert "token 100" in fault(changed(token_ids=(4, 100)), ISSUED, NOW, 100)


def test_a_completion_without_tokens_is_refused():
    nothing = changed(token_ids=(), behaviour_logprobs=(), policies=())
    assert fault(nothing, ISSUED, NOW, 100) == "a completion without tokens"


LIMITS = Limits(sequences=4, tokens=20, vocabulary=100)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (a_prompt(group_size=4), ""),
        (a_prompt(group_size=5), "group_size 5, sampler.max_sequences is 4"),
        (replace(a_prompt(), token_ids=()), "the prompt is empty"),
        (replace(a_prompt(), token_ids=(1,) * 12), ""),
        (replace(a_prompt(), token_ids=(1,) * 13), "13 + 8 tokens, the model is run with 20"),
        (replace(a_prompt(), token_ids=(99,)), ""),
        (replace(a_prompt(), token_ids=(100,)), "token 100, the vocabulary has 100"),
    ],
)
def test_a_sampler_says_what_it_cannot_do(prompt, said):
    assert LIMITS.refusal(prompt) == said


@pytest.mark.parametrize(
    ("asked", "in_force", "over"),
    [
        (Policy(1, 4), Policy(1, 4), False),
        (Policy(1, 4), Policy(1, 3), False),
        (Policy(1, 4), Policy(1, 5), True),
        (Policy(1, 4), Policy(2, 4), True),
        (Policy(1, 0), Policy(2, 0), False),
        (Policy(1, 4), None, False),
    ],
)
def test_a_sampler_knows_which_evaluations_it_can_no_longer_answer(asked, in_force, over):
    assert is_over(asked, in_force) is over
