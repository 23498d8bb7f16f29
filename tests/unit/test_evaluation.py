"""Held-out accuracy: what is asked, and what is made of the answers."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from openrs_core.errors import ProtocolError
from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.record.lines import EvaluationLine
from openrs_core.wire.messages import Prompt
from services.issuing.evaluation import Evaluation
from services.issuing.problems import Problem, Problems
from tests.builders import a_scored_group

TOY = Path(__file__).parents[2] / "recipes" / "toy.toml"
BASE = Policy(1, 0)

TWO_SETS = (
    'evaluation.sets=[{name = "easy", samples = 4, temperature = 0.6, top_p = 0.95},'
    ' {name = "hard", problems = 2, max_tokens = 200, greedy = false}]'
)


def some_problems(count: int, too_long: int = 0) -> Problems:
    every = [Problem(f"p{number}", f"1+{number}?", (1, 2), "7") for number in range(count)]
    return Problems(every, seed=0, too_long=too_long)


def an_evaluation(problems: int = 3, *overrides: str) -> Evaluation:
    recipe = load(TOY, overrides)
    return Evaluation(recipe, {each.name: some_problems(problems) for each in recipe.evaluated})


def asked(evaluation: Evaluation, policy: Policy = BASE) -> list[Prompt]:
    """All the prompts of an evaluation of this policy."""
    evaluation.begin(policy, now=0.0)
    return list(evaluation.next_prompts(policy, None))


def answer(evaluation: Evaluation, prompt: Prompt, *rewards: float) -> None:
    rewards = rewards or (1.0,) * prompt.sampling.group_size
    evaluation.arrive(a_scored_group(prompt, rewards=rewards))


def only(evaluation: Evaluation) -> EvaluationLine:
    [line] = evaluation.finished()
    return line


def test_an_evaluation_is_the_mean_over_problems():
    evaluation = an_evaluation()
    for prompt in asked(evaluation):
        answer(evaluation, prompt, float(prompt.position == 0))
    assert [(r.set, r.mode, r.accuracy, r.problems) for r in evaluation.finished()] == [
        ("held_out", "sampled", pytest.approx(1 / 3), 3),
        ("held_out", "greedy", pytest.approx(1 / 3), 3),
    ]
    assert evaluation.policy is None


def test_the_standard_error_is_over_problems_and_not_over_samples():
    """Shares of 0, 1/2 and 1: a standard deviation of 1/2, over the root of three problems."""
    evaluation = an_evaluation(3, "evaluation.samples=2", "evaluation.greedy=false")
    for prompt, rewards in zip(asked(evaluation), [(0, 0), (0, 1), (1, 1)], strict=True):
        answer(evaluation, prompt, *map(float, rewards))
    line = only(evaluation)
    assert (line.accuracy, line.completions) == (0.5, 6)
    assert line.standard_error == pytest.approx(0.5 / 3**0.5)


def test_one_problem_has_no_standard_error():
    evaluation = an_evaluation(1, "evaluation.greedy=false")
    answer(evaluation, *asked(evaluation))
    assert only(evaluation).standard_error is None


def test_a_prompt_says_what_its_problem_says_about_the_thought():
    problems = [Problem("p", "1+6?", (1, 2), "7", thought_open=each) for each in (True, False)]
    evaluation = Evaluation(load(TOY), {"held_out": Problems(problems, seed=0)})
    opened = [(prompt.position, prompt.thought_open) for prompt in asked(evaluation)]
    assert sorted(opened) == [(0, True), (0, True), (1, False), (1, False)], "sampled and greedy"


def test_unverified_is_what_nobody_knows_and_not_what_took_too_much():
    evaluation = an_evaluation(problems=1)
    for prompt in asked(evaluation):
        group = a_scored_group(prompt, rewards=[0.0] * prompt.sampling.group_size)
        first, *others = group.scores
        verdict = "error" if prompt.sampling.temperature else "timeout"
        evaluation.arrive(replace(group, scores=(replace(first, verdict=verdict), *others)))
    assert [(r.mode, r.unverified) for r in evaluation.finished()] == [
        ("sampled", 1),
        ("greedy", 0),
    ]


def test_what_was_cut_off_and_what_could_not_be_sampled_is_counted():
    """Of three problems one fails, which is not correct; of the other two one is cut off."""
    evaluation = an_evaluation(3, "evaluation.greedy=false")
    for prompt in asked(evaluation):
        group = a_scored_group(prompt, rewards=[1.0])
        rollout, [drawn] = group.rollout, group.rollout.completions
        if prompt.position == 0:
            failed = replace(rollout, completions=(), failure="too long")
            group = replace(group, rollout=failed, scores=())
        if prompt.position == 1:
            cut = replace(rollout, completions=(replace(drawn, finish_reason="length"),))
            group = replace(group, rollout=cut)
        evaluation.arrive(group)
    line = only(evaluation)
    assert (line.problems, line.completions, line.failed, line.truncated) == (3, 2, 1, 0.5)
    assert line.accuracy == pytest.approx(2 / 3)


def test_problems_that_were_too_long_are_on_record():
    recipe = load(TOY, ["evaluation.greedy=false"])
    evaluation = Evaluation(recipe, {"held_out": some_problems(1, too_long=4)})
    answer(evaluation, *asked(evaluation))
    assert only(evaluation).too_long == 4


def test_each_set_is_asked_in_its_own_way_and_has_a_result_of_its_own():
    evaluation = an_evaluation(5, TWO_SETS)
    for prompt in asked(evaluation):
        answer(evaluation, prompt)
    found = [
        (r.set, r.mode, r.problems, r.completions, r.temperature, r.top_p, r.max_tokens)
        for r in evaluation.finished()
    ]
    assert found == [
        ("easy", "sampled", 5, 20, 0.6, 0.95, 96),
        ("easy", "greedy", 5, 5, 0.0, 1.0, 96),
        ("hard", "sampled", 2, 2, 1.0, 1.0, 200),
    ]


def test_sets_and_modes_are_mixed_so_that_none_waits_for_another():
    """Of every tenth of the prompts each part has its tenth, give or take one."""
    prompts = asked(an_evaluation(50, TWO_SETS.replace("problems = 2", "problems = 20")))
    part = [prompt.group_id.rsplit(".", 1)[0] for prompt in prompts]
    whole = Counter(part)
    assert sorted(whole.values()) == [20, 50, 50]
    for tenth in range(1, 11):
        seen = Counter(part[: len(part) * tenth // 10])
        assert all(abs(seen[name] - whole[name] * tenth / 10) <= 1 for name in whole)


def test_a_problem_has_the_same_seed_at_every_version_and_another_than_the_next_one():
    evaluation = an_evaluation(20, TWO_SETS)
    seeds = []
    for version in (0, 7):
        prompts = asked(evaluation, Policy(1, version))
        seeds.append({p.group_id.split(".", 3)[3]: p.sampling.seed for p in prompts})
        for prompt in prompts:
            answer(evaluation, prompt)
    assert seeds[0] == seeds[1]
    sampled = [seed for name, seed in seeds[0].items() if "sampled" in name]
    assert len(set(sampled)) == len(sampled) == 22
    other = asked(an_evaluation(20, TWO_SETS, "seed=1"))
    assert {p.sampling.seed for p in other}.isdisjoint(sampled)


def test_nothing_is_asked_before_samplers_can_see_the_policy():
    evaluation, policy = an_evaluation(), Policy(1, 20)
    evaluation.begin(policy, now=0.0)
    assert list(evaluation.next_prompts(BASE, None)) == []
    assert len(list(evaluation.next_prompts(policy, None))) == 6


def test_an_evaluation_counts_completions_and_not_prompts():
    """Of prompts of four completions fewer are in flight than of prompts of one."""
    evaluation, policy = an_evaluation(40, "evaluation.samples=4"), Policy(1, 20)
    evaluation.begin(policy, now=0.0)
    first = list(evaluation.next_prompts(policy, 12))
    assert 8 < sum(prompt.sampling.group_size for prompt in first) <= 12
    assert list(evaluation.next_prompts(policy, 12)) == []
    answer(evaluation, next(prompt for prompt in first if prompt.sampling.group_size == 4))
    again = list(evaluation.next_prompts(policy, 12))
    assert 0 < sum(prompt.sampling.group_size for prompt in again) <= 5


def test_a_prompt_larger_than_its_share_goes_out_alone():
    evaluation = an_evaluation(2, "evaluation.samples=16", "evaluation.greedy=false")
    evaluation.begin(BASE, now=0.0)
    assert len(list(evaluation.next_prompts(BASE, 8))) == 1
    assert list(evaluation.next_prompts(BASE, 8)) == []


def test_there_is_one_evaluation_at_a_time():
    evaluation = an_evaluation()
    evaluation.begin(BASE, now=0.0)
    with pytest.raises(ProtocolError, match="still is"):
        evaluation.begin(Policy(1, 1), now=0.0)


def test_results_are_there_when_all_parts_are():
    """So that a crash leaves all of an evaluation on record, or none."""
    evaluation = an_evaluation()
    *most, last = asked(evaluation)
    for prompt in most:
        answer(evaluation, prompt)
    assert evaluation.finished() == []
    answer(evaluation, last)
    assert len(evaluation.finished()) == 2


@pytest.mark.parametrize(("version", "due"), [(0, True), (19, False), (20, True), (59, False)])
def test_it_is_a_versions_turn_every_so_many_steps(version, due):
    assert an_evaluation().due(version) is due


def test_the_last_version_is_always_evaluated_and_without_problems_none_is():
    assert an_evaluation(3, "learner.steps=33").due(33)
    assert not an_evaluation(0).due(0)
