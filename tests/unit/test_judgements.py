"""What a model's answers say of a problem."""

from dataclasses import replace

import pytest

from openrs_core.errors import RunError
from openrs_core.wire.messages import RolloutGroup, Sampling, ScoredGroup
from services.curator.answers import Answers, judged, judgement, solved
from services.curator.asking import Question, judging, solving
from services.curator.mixture import Rate, mix, not_chosen
from tests.builders import a_completion, a_judged_group, a_prompt
from tests.curation import a_candidate, a_recipe
from tests.fakes import FakeTemplate

RECIPE = a_recipe(
    {"name": "all", "source": "x.jsonl"}, judge={"ask": True}, solve={"samples": 4}
)  # fmt: skip


class Kept(dict[str, ScoredGroup]):
    """Groups by id."""

    def group(self, group_id: str) -> ScoredGroup:
        return self[group_id]


def question(stage: str) -> Question:
    make = judging if stage == "judge" else solving
    return make(RECIPE, FakeTemplate())


def said(*texts: str) -> tuple[list, Answers]:
    """Candidates and what a judge says of each; nothing at all where the text is empty."""
    asked = question("judge")
    candidates = [a_candidate(number) for number in range(1, len(texts) + 1)]
    kept, failures = Kept(), {}
    for candidate, text in zip(candidates, texts, strict=True):
        group_id = asked.group_id(candidate)
        if text:
            prompt = a_prompt(group_id, group_size=1)
            rollout = RolloutGroup(prompt=prompt, completions=(a_completion(text),), sampler="s")
            kept[group_id] = replace(a_judged_group(("incorrect", 0.0, "stop")), rollout=rollout)
        else:
            failures[group_id] = "too long"
    return candidates, Answers(asked, kept, failures)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"\boxed{keep}", "keep"),
        (r"It is fine. \boxed{\text{Keep}}", "keep"),
        (r"<think>maybe \boxed{keep}</think> \boxed{DROP}.", "drop"),
        (r"\boxed{\textbf{drop}}", "drop"),
        (r'\boxed{"keep"}', "keep"),
        (r"\boxed{keep or drop}", None),
        (r"\boxed{42}", None),
        ("keep", None),
        (r"<think>\boxed{keep}</think> I cannot say", None),
        (r"<think>maybe \boxed{keep}", None),
        ("", None),
    ],
)
def test_a_judgement_is_the_last_box_after_the_thought(text, found):
    assert judgement(a_completion(text)) == found


def test_a_thought_that_the_prompt_began_must_be_ended():
    assert judgement(a_completion(r"maybe \boxed{keep}"), thought_open=True) is None
    assert judgement(a_completion(r"so </think> \boxed{keep}"), thought_open=True) == "keep"


def test_what_is_dropped_senseless_or_not_sampled_goes():
    candidates, answers = said(r"\boxed{keep}", r"\boxed{drop}", "no idea", "")
    faults = judged(candidates, answers, nonsense=0.25)
    assert {name: why.reason for name, why in faults.items()} == {
        "all/2": "the judge drops it",
        "all/3": "the judge answered neither keep nor drop",
        "all/4": "it could not be sampled",
    }
    assert faults["all/4"].detail == "too long"


def test_a_judge_that_answers_nonsense_is_refused_in_one_line():
    candidates, answers = said(r"\boxed{keep}", "I love\nproblems", "so do I")
    with pytest.raises(RunError) as error:
        judged(candidates, answers, nonsense=0.5)
    assert "2 of 3 answers are neither" in str(error.value)
    assert "curate.judge.nonsense is 0.5" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pass_rate_counts_what_could_be_verified():
    candidates = [a_candidate(number) for number in (1, 2, 3)]
    asked = question("solve")
    groups = Kept(
        {
            asked.group_id(candidates[0]): a_judged_group(
                ("correct", 1.0, "stop"), ("error", 0.0, "stop"), ("no_answer", 0.0, "length")
            ),
            asked.group_id(candidates[1]): a_judged_group(("error", 0.0, "stop")),
        }
    )
    rates, faults = solved(candidates, Answers(asked, groups, {}))
    assert rates == {"all/1": Rate(correct=1, samples=2)}
    assert {name: why.reason for name, why in faults.items()} == {
        "all/2": "none of its answers could be verified",
        "all/3": "it could not be sampled",
    }


def test_the_same_is_asked_in_every_life_each_with_a_seed_of_its_own():
    candidates = [a_candidate(number) for number in (1, 2)]
    first, second = (list(question("solve").prompts(candidates, 1.0)) for _ in range(2))
    assert first == second
    assert len({prompt.sampling.seed for prompt in first}) == 2
    assert first[0].answer == "2"
    wanted = Sampling(
        temperature=0.6, top_p=0.95, max_tokens=64, group_size=4, seed=first[0].sampling.seed
    )
    assert first[0].sampling == wanted


def test_a_judge_is_asked_once_greedily_and_with_its_own_words():
    tokenizer = FakeTemplate()
    [prompt] = judging(RECIPE, tokenizer).prompts([a_candidate(3)], 1.0)
    assert (prompt.sampling.temperature, prompt.sampling.group_size) == (0.0, 1)
    assert prompt.answer == "keep"
    assert "What is 3+3?" in tokenizer.asked
    assert "\\boxed{drop}" in tokenizer.asked


def test_parts_take_what_lies_in_their_bands():
    """The same source, hard and easy; what is in no band and what is left over are told apart."""
    recipe = a_recipe(
        {"name": "all", "source": "x.jsonl"},
        parts=[
            {"name": "hard", "of": "all", "low": 0.1, "high": 0.5, "count": 2},
            {"name": "easy", "of": "all", "low": 0.5, "high": 0.9},
        ],
        solve={"samples": 4},
    )
    candidates = [a_candidate(number) for number in range(8)]
    rates = {each.id: Rate(min(each.number, 4), 4) for each in candidates}
    rates["all/7"] = Rate(1, 4)
    mixture = mix(recipe, candidates, rates)
    parts = {each.candidate.id: each.part for each in mixture.chosen}
    assert list(parts.values()).count("hard") == 2
    assert set(parts) - {name for name in parts if parts[name] == "hard"} <= {"all/2", "all/3"}
    others = not_chosen(recipe, candidates, rates, mixture)
    reasons = {name: why.reason for name, why in others.items()}
    assert reasons["all/0"] == reasons["all/4"] == "its pass rate is in no part's band"
    assert set(reasons) | set(parts) == {each.id for each in candidates}
