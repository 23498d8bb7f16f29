"""The prompts of an evaluation depend on its recipe alone, and every problem is asked."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrs_core.errors import RunError
from services.evaluator.request import Request, recipe_of
from services.evaluator.suites import Suite, load_suites, prompt, shares
from services.issuing.problems import Problem
from tests.unit.test_problems import CharacterTokenizer


def a_recipe(directory: Path, *overrides: str):
    request = Request(model="./m", runs=directory, benchmarks=["mine"], data_dir=directory)
    return recipe_of(request, overrides)


def write(directory: Path, *rows: object) -> None:
    (directory / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def a_row(number: int, **changes) -> dict:
    return {"id": f"m/{number}", "problem": f"{number}+1?", "answer": str(number + 1), **changes}


def loaded(directory: Path, *overrides: str) -> Suite:
    [found] = load_suites(a_recipe(directory, *overrides), CharacterTokenizer())
    return found


@given(problems=st.integers(1, 5), samples=st.integers(1, 40), at_once=st.integers(1, 12))
def test_every_sample_is_asked_for_once_with_a_seed_of_its_own(problems, samples, at_once):
    suite = Suite("s", [Problem(f"p{n}", "1?", (1,), "1") for n in range(problems)])
    recipe = recipe_of(Request(model="./m", runs=Path(), benchmarks=["toy"]))
    drawn = [
        (asked.prompt_id, asked.sampling.seed + number)
        for asked in (prompt(each, recipe, 0.0) for each in shares([suite], samples, at_once))
        for number in range(asked.sampling.group_size)
    ]
    assert len(set(drawn)) == len(drawn) == problems * samples
    first = min(seed for name, seed in drawn if name == "p0")
    assert sorted(seed - first for name, seed in drawn if name == "p0") == list(range(samples))


def test_the_seeds_do_not_depend_on_how_many_are_drawn_at_once(tmp_path):
    write(tmp_path, *map(a_row, range(3)))
    recipe, suite = a_recipe(tmp_path), loaded(tmp_path)

    def seeds(at_once: int) -> list[int]:
        asked = [prompt(each, recipe, 0.0) for each in shares([suite], 6, at_once)]
        return [
            each.sampling.seed + number
            for each in asked
            for number in range(each.sampling.group_size)
        ]

    assert seeds(1) == seeds(4) == seeds(6)


def test_another_seed_of_the_evaluation_draws_other_numbers(tmp_path):
    write(tmp_path, a_row(1))
    share = next(shares([loaded(tmp_path)], 1, 1))
    one, two = (prompt(share, a_recipe(tmp_path, f"eval.seed={n}"), 0.0) for n in (0, 1))
    assert one.sampling.seed != two.sampling.seed


def test_the_digest_tells_problems_and_answers_and_their_order(tmp_path):
    digests = set()
    for rows in (
        [a_row(1), a_row(2)],
        [a_row(2), a_row(1)],
        [a_row(1), a_row(2, answer="4")],
        [a_row(1), a_row(2, problem="2+1 ?")],
    ):
        write(tmp_path, *rows)
        digests.add(loaded(tmp_path).digest)
    assert len(digests) == 4
    write(tmp_path, a_row(1), a_row(2, id="another"))
    assert loaded(tmp_path).digest in digests


def test_as_many_problems_as_are_wanted_the_first_ones(tmp_path):
    write(tmp_path, *map(a_row, range(9)))
    sets = f'eval.sets=[{{name="mine", source="{tmp_path}/mine.jsonl", problems=2}}]'
    assert [problem.prompt_id for problem in loaded(tmp_path, sets).problems] == ["m/0", "m/1"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([a_row(1), {"problem": "2?"}], "row 2: there is no column 'answer'"),
        ([a_row(1), a_row(2, answer="")], "row 2: it has no answer"),
        ([a_row(1), a_row(2, problem="x" * 3000)], "1 prompts have more tokens than data.max_pro"),
        ([a_row(1), a_row(1)], "two problems have the id 'm/1'"),
    ],
)
def test_no_problem_of_a_benchmark_is_left_out_in_silence(tmp_path, rows, said):
    write(tmp_path, *rows)
    with pytest.raises(RunError, match=said):
        loaded(tmp_path)
