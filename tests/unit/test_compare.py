"""Whether two evaluations differ: the sums, the verdicts, and what is refused."""

import json
from itertools import product

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from openrs_core.errors import RunError
from services.cli import app
from services.evaluator import comparison, statistics
from services.evaluator.compare import compare
from services.evaluator.comparison import compared, detectable, holm, permutation_p
from services.evaluator.pairing import paired, remarks
from tests.evaluations import a_result, a_set, written

SHAPES = {"aime24": (30, 0.29, 1.1), "amc23": (40, 0.72, 1.3), "minerva": (272, 0.3, 0.35)}
"""Problems, mean, and a + b of the Beta distribution of their chances."""


@pytest.fixture
def fewer_resamples(monkeypatch):
    for module in (comparison, statistics):
        monkeypatch.setattr(module, "RESAMPLES", 1999)


def chances(rng):
    return {n: rng.beta(m * s, (1 - m) * s, count) for n, (count, m, s) in SHAPES.items()}


def sampled(rng, by_set, samples):
    return a_result({n: rng.binomial(samples, p).tolist() for n, p in by_set.items()}, samples)


def shifted(chance, by):
    """Every problem easier by so much on the scale of log odds."""
    odds = chance / (1 - chance + 1e-12) * np.exp(by)
    return odds / (1 + odds)


def test_two_evaluations_of_one_model_show_no_difference_nine_times_of_ten():
    rng, same = np.random.default_rng(0), 0
    for _ in range(10):
        by_set = chances(rng)
        (found,) = compared(sampled(rng, by_set, 8), [sampled(rng, by_set, 8)])
        assert [one.name for one in found] == [*SHAPES, "average"]
        same += all(one.verdict == "no difference" for one in found)
    assert same >= 9


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize(("problems", "samples"), [(30, 16), (40, 4), (272, 1)])
def test_a_difference_that_is_just_detectable_is_seen_four_times_of_five(problems, samples):
    rng = np.random.default_rng(1)
    p = rng.beta(0.4, 0.7, 200_000)

    def excess(by):
        """By how much the mean difference is more than detectable."""
        q = shifted(p, by)
        draws = rng.binomial(samples, q) / samples - rng.binomial(samples, p) / samples
        return float((q - p).mean()) - detectable(draws.std() / np.sqrt(problems))

    low, high = 0.0, 8.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    seen = 0
    for _ in range(300):
        drawn = rng.choice(p, problems)
        a, b = rng.binomial(samples, drawn), rng.binomial(samples, shifted(drawn, high))
        seen += permutation_p((b - a).tolist()) < 0.05
    assert 0.74 * 300 <= seen <= 0.86 * 300


@pytest.mark.usefixtures("fewer_resamples")
def test_a_verdict_never_contradicts_the_interval_beside_it():
    """Where p is below 5 %, the interval leaves out 0, but for a few at the edge."""
    rng, by_p, edge = np.random.default_rng(2), 0, 0
    for _ in range(300):
        p = rng.beta(0.4, 0.7, 40)
        a, b = rng.binomial(8, p).tolist(), rng.binomial(8, shifted(p, 0.5)).tolist()
        ((one,),) = compared(a_result({"s": a}, 8), [a_result({"s": b}, 8)])
        by_p += one.corrected < 0.05
        edge += one.corrected < 0.05 and not one.is_off_zero
        assert one.verdict == "no difference" or one.is_off_zero
    assert by_p > 100
    assert edge <= 0.03 * by_p


@pytest.mark.parametrize("differences", [[1, 2, -1, 3], [1, 1, 1, 1, 1], [5, -5, 2], [0, 0, 3, 1]])
def test_few_differences_are_flipped_in_all_ways(differences):
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True))
            for signs in product((1, -1), repeat=len(differences))]  # fmt: skip
    far = sum(abs(one) >= abs(sum(differences)) for one in sums)
    assert permutation_p(differences) == pytest.approx(far / len(sums))


def test_many_differences_are_flipped_at_random_and_p_is_never_0():
    found = np.random.default_rng(3).normal(0.3, 1, 60).round(1) * 10
    exact = stats.ttest_1samp(found, 0).pvalue
    assert permutation_p(found.astype(int).tolist()) == pytest.approx(exact, abs=0.01)
    assert permutation_p([1] * 60) == pytest.approx(2 / (comparison.RESAMPLES + 1))


def test_where_nothing_differs_p_is_1():
    assert permutation_p([0] * 30) == 1.0
    assert permutation_p([3, -3] * 20) == 1.0


def test_holms_correction_is_that_of_the_book():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_more_comparisons_make_each_of_them_harder():
    rng = np.random.default_rng(4)
    p = rng.beta(0.4, 0.7, 100)
    base, better = rng.binomial(8, p).tolist(), rng.binomial(8, shifted(p, 0.45)).tolist()
    other = a_result({"s": better}, 8)
    one = compared(a_result({"s": base}, 8), [other])[0][0]
    three = compared(a_result({"s": base}, 8), [other, other, other])
    assert one.corrected == one.p
    assert three[0][0].corrected == pytest.approx(3 * one.p)


def test_the_average_gives_every_set_the_same_weight():
    a = a_result({"few": [0, 0], "many": [4] * 8}, 4)
    b = a_result({"few": [4, 0], "many": [4] * 8}, 4)
    *_, whole = compared(a, [b])[0]
    assert (whole.name, whole.problems, whole.samples) == ("average", 10, 40)
    assert whole.difference.value == pytest.approx(0.25)
    assert (whole.reference, whole.accuracy) == (0.5, 0.75)


def test_a_set_alone_has_no_average_to_be_counted_twice():
    (found,) = compared(a_result({"s": [1, 2]}, 4), [a_result({"s": [2, 3]}, 4)])
    assert [one.name for one in found] == ["s"]


UNLIKE = [
    (a_result({"s": [1, 2]}, 4, temperature=1.0), "protocol.temperature: 0.6 in a, 1.0 in b"),
    (a_result({"s": [1, 2]}, 4, scoring="harness"), "protocol.scoring: 'openrs' in a, 'harness'"),
    (a_result({"s": [1, 2]}, 8), "protocol.samples: 4 in a, 8 in b"),
    (a_result({"t": [1, 2]}, 4), "sets: s in a, t in b"),
    (a_result({"s": [1, 2], "t": [1]}, 4), "sets: s in a, s, t in b; .* --only s"),
    (a_result({"s": [1]}, 4), "s: b lacks 1 of the problems, the first is s/1"),
    (a_result({"s": [1, 2, 3]}, 4), "s: a lacks 1 of the problems, the first is s/2"),
]


@pytest.mark.parametrize(("other", "said"), UNLIKE)
def test_what_cannot_be_paired_is_refused_with_both_values(other, said):
    with pytest.raises(RunError, match=said):
        paired({"a": a_result({"s": [1, 2]}, 4), "b": other})


def test_other_problems_under_the_same_name_are_refused():
    a = a_result({"s": [1, 2]}, 4)
    b = a.model_copy(update={"sets": [a.sets[0].model_copy(update={"digest": "another"})]})
    with pytest.raises(RunError, match=r"s\.digest: 'of s' in a, 'another' in b"):
        paired({"a": a, "b": b})


def test_sets_may_stand_in_another_order_and_seeds_and_names_of_protocols_may_differ():
    a = a_result({"s": [1, 2], "t": [3]}, 4, seed=0, preset="ours")
    b = a_result({"t": [3], "s": [1, 2]}, 4, seed=100, preset="")
    found = paired({"a": a, "b": b})
    assert [s.name for s in found["b"].sets] == ["s", "t"]
    assert remarks(found) == []


def test_one_draw_shown_twice_and_other_versions_are_remarked():
    a = a_result({"s": [1, 2]}, 4)
    b = a.model_copy(update={"versions": {"openrs": "0.1.0", "vllm": "0.33.0"}})
    assert remarks({"a": a, "b": b}) == [
        "a and b are the same weights with the same seed: not two draws but one",
        "vllm 0.32.0 in a, 0.33.0 in b",
    ]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Evaluations: a, one like it, and one that is much better."""
    tmp_path = tmp_path_factory.mktemp("evaluations")
    for name, right in (("a", [1, 0] * 10), ("like", [0, 1] * 10), ("better", [4, 3] * 10)):
        (tmp_path / name).mkdir()
        written(tmp_path / name, a_set(right), a_set(right[:6], name="small"))
    return tmp_path


def test_the_command_says_in_words_what_differs_and_what_does_not(three):
    found = CliRunner().invoke(app, ["compare", *(str(three / n) for n in ("a", "like", "better"))])
    assert found.exit_code == 0
    assert "like and a on all sets: no difference that these 26 problems" in found.output
    assert "compared alone, they would show 4 times of 5." in found.output
    assert "better is better than a on toy: +75.0 points [" in found.output


def test_as_json_everything_that_is_known_is_printed(three):
    told = compare([three / "a", three / "like"], only=["toy"], as_json=True, picture=None)
    (one,) = json.loads(told)["comparisons"]
    assert (one["of"], one["set"], one["problems"], one["samples"]) == ("like", "toy", 20, 80)
    assert (one["difference"], one["verdict"]) == (0.0, "no difference")
    assert one["low"] < 0 < one["high"]


def test_the_picture_is_a_png_and_the_same_bytes_again(three):
    for name in ("one.png", "two.png"):
        paths = [three / "a" / "result.json", three / "better"]
        compare(paths, only=[], as_json=False, picture=three / name)
    assert (three / "one.png").read_bytes() == (three / "two.png").read_bytes()
    assert (three / "one.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_refused_in_one_line(three):
    where = three / "missing" / "a.png"
    with pytest.raises(RunError, match="No such file"):
        compare([three / "a", three / "like"], only=[], as_json=False, picture=where)


def test_one_result_is_none_to_compare(three):
    with pytest.raises(RunError, match="give two or more"):
        compare([three / "a"], only=[], as_json=False, picture=None)
    with pytest.raises(RunError, match="named twice"):
        compare([three / "a", three / "a"], only=[], as_json=False, picture=None)
    with pytest.raises(RunError, match="--only other: a has toy, small"):
        compare([three / "a", three / "like"], only=["other"], as_json=False, picture=None)
