"""From files to a data set, without a model: what is left out and why, and the same every time."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml

from openrs_core.errors import RunError
from services.curator.curation import Curation, sift_by_text
from services.curator.dataset import write_dataset
from tests.curation import a_recipe, written
from tests.planted_problems import Planted, clean, stand_in
from tests.rewordings import renumbered, retyped, reworded


def silent(stage) -> None:
    """Nobody listens."""


def sifted(recipe) -> Curation:
    return sift_by_text(recipe, silent)


def gone(curation: Curation) -> dict[str, str]:
    """Stage of each that went, by id."""
    return {each.id: each.stage for each in curation.funnel.gone}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """2,000 clean problems and three copies each of a benchmark's 60, in one file."""
    directory = tmp_path_factory.mktemp("planted")
    benchmark = stand_in(60)
    kinds = (lambda text, _: text, retyped, renumbered, reworded)
    copies = [
        Planted(f"{kind}/{row.id}", make(row.problem, row.id), row.answer)
        for kind, make in enumerate(kinds)
        for row in benchmark
    ]
    rows = clean(2000)
    rows[500:500] = copies
    return a_recipe(
        {"name": "all", "source": written(directory / "all.jsonl", rows)},
        benchmarks=[
            {
                "name": "stand-in",
                "source": written(directory / "benchmark.jsonl", benchmark, problem="question"),
                "problem_field": "question",
            }
        ],
    )


def test_copies_of_a_benchmark_go_and_clean_problems_stay(planted):
    """All verbatim and retyped ones, 95 % of the renumbered and reworded; every hit is named."""
    curation = sifted(planted)
    left = {each.id for each in curation.left}
    assert sum(name.startswith("all/clean/") for name in left) == 2000
    caught = {each.candidate.id for each in curation.hits}
    for kind, least in enumerate((60, 60, 57, 57)):
        assert sum(name.startswith(f"all/{kind}/") for name in caught) >= least
    for each in curation.hits:
        assert each.candidate.id.endswith(each.hit.benchmark)


def test_every_row_is_accounted_for(tmp_path):
    """Usable, no benchmark's, once, fit: each that goes has its stage and its reason."""
    long = "Every day Ada reads twelve pages of a novel. How many pages is that in seven days?"
    rows = [
        ("kept", long, "84"),
        ("no answer", "What is the sum of nine and ten?", ""),
        ("unreadable", "What is the sum of nine and twelve?", "\\frac{"),
        ("verbatim", "What is the remainder when $2^{100}$ is divided by 7?", "2"),
        ("again", long.upper(), "84"),
        ("proof", "Prove that the sum of two odd numbers is even, please.", "1"),
    ]
    benchmark = [Planted("a/1", rows[3][1], "2")]
    recipe = a_recipe(
        {"name": "x", "source": written(tmp_path / "x.jsonl", [Planted(*row) for row in rows])},
        benchmarks=[{"name": "a", "source": written(tmp_path / "a.jsonl", benchmark)}],
    )
    curation = sifted(recipe)
    assert [each.id for each in curation.left] == ["x/kept"]
    assert gone(curation) == {
        "x/row-2": "usable", "x/row-3": "usable", "x/verbatim": "contamination",
        "x/again": "duplicates", "x/proof": "rules",
    }  # fmt: skip
    why = {each.id: each.why for each in curation.funnel.gone}
    assert (why["x/verbatim"].reason, why["x/verbatim"].detail) == ("a benchmark's: exact", "a/1")
    assert why["x/again"].detail == "x/kept"
    assert str(curation.funnel) == (
        "usable 4 of 6, contamination 3 of 4, duplicates 2 of 3, rules 1 of 2"
    )


def test_parts_of_one_source_share_it_out(tmp_path):
    path = written(tmp_path / "x.jsonl", clean(30))
    parts = [{"name": name, "of": "x", "count": 10} for name in ("first", "second")]
    curation = sifted(a_recipe({"name": "x", "source": path}, parts=parts))
    assert len(curation.left) == 30
    mixture = curation.mixed()
    chosen = [each.candidate.id for each in mixture.chosen]
    assert len(set(chosen)) == 20
    assert [each.part for each in mixture.chosen] == ["first"] * 10 + ["second"] * 10
    assert curation.funnel.stages[-1].reasons == {"not drawn": 10}


def test_only_the_first_rows_are_looked_at_where_the_part_says_so(tmp_path):
    path = written(tmp_path / "x.jsonl", clean(30))
    curation = sifted(a_recipe({"name": "x", "source": path, "rows": 7}))
    assert [each.number for each in curation.left] == list(range(1, 8))


def test_a_data_set_that_is_there_is_left_as_it_is(planted, tmp_path):
    """A life that was killed after its last deed is followed by another."""
    curation = sifted(planted)
    mixture = curation.mixed()
    write_dataset(tmp_path, curation, mixture)
    card = (tmp_path / "dataset" / "README.md").stat().st_mtime_ns
    write_dataset(tmp_path, curation, mixture)
    assert (tmp_path / "dataset" / "README.md").stat().st_mtime_ns == card


def test_what_two_sources_say_is_of_the_first(tmp_path):
    paths = [written(tmp_path / f"{name}.jsonl", clean(20)) for name in "ab"]
    curation = sifted(a_recipe(*({"name": Path(p).stem, "source": p} for p in paths)))
    assert {each.source for each in curation.left} == {"a"}
    assert [each.part for each in curation.mixed().chosen] == ["a"] * 20


def test_a_part_that_is_too_small_is_said(tmp_path):
    path = written(tmp_path / "x.jsonl", clean(30))
    parts = [{"name": "many", "of": "x", "count": 50}]
    curation = sifted(a_recipe({"name": "x", "source": path}, parts=parts))
    assert curation.mixed().short == {"many": 20}


def made(directory: Path, recipe) -> dict[str, bytes]:
    """Every file that is written, by its name."""
    directory.mkdir()
    curation = sifted(recipe)
    write_dataset(directory, curation, curation.mixed())
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_the_same_recipe_makes_the_same_bytes(planted, tmp_path):
    first, second = made(tmp_path / "1", planted), made(tmp_path / "2", planted)
    assert first == second
    assert set(first) == {
        "dataset/README.md", "dataset/funnel.png", "dataset/problems.jsonl",
        "dataset/problems.parquet", "hits.jsonl", "left_out.jsonl",
    }  # fmt: skip


def test_a_data_set_is_read_as_it_was_written(planted, tmp_path):
    """JSON lines and Parquet hold the same; the card's header is what the hub reads."""
    files = made(tmp_path / "made", planted)
    rows = [json.loads(line) for line in files["dataset/problems.jsonl"].splitlines()]
    directory = tmp_path / "made" / "dataset"
    assert pyarrow.parquet.read_table(directory / "problems.parquet").to_pylist() == rows
    assert rows[0]["pass_rate"] is None
    header = yaml.safe_load(files["dataset/README.md"].decode().split("---\n")[1])
    assert header["size_categories"] == ["1K<n<10K"]
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": "problems.parquet"}]
    hits = [json.loads(line) for line in files["hits.jsonl"].splitlines()]
    assert set(hits[0]) == {"id", "benchmark", "how", "overlap", "problem"}
    out = [json.loads(line) for line in files["left_out.jsonl"].splitlines()]
    assert len(out) + len(rows) == 2240


def test_a_card_names_no_path_of_the_machine(planted, tmp_path):
    files = made(tmp_path / "made", planted)
    card = files["dataset/README.md"].decode()
    assert str(tmp_path.parent) not in card
    assert "`all.jsonl`" in card
    assert '"source": "all.jsonl"' in card


def test_another_seed_draws_other_problems(tmp_path):
    path = written(tmp_path / "x.jsonl", clean(100))
    parts = [{"name": "half", "of": "x", "count": 50}]
    recipe = a_recipe({"name": "x", "source": path}, parts=parts)
    drawn = [
        [each.candidate.id for each in sifted(made_of).mixed().chosen]
        for made_of in (recipe, recipe, recipe.model_copy(update={"seed": 1}))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def fault(recipe) -> str:
    with pytest.raises(RunError) as error:
        sifted(recipe).mixed()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_source_that_is_not_there_is_named():
    said = fault(a_recipe({"name": "x", "source": "nowhere.jsonl"}))
    assert "curate.sources.x.source is 'nowhere.jsonl'" in said
    assert "No such file" in said


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = written(tmp_path / "x.jsonl", clean(5), answer="solution")
    said = fault(a_recipe({"name": "x", "source": path}))
    assert "there is no column 'answer'" in said
    assert "set curate.sources.x.answer_field" in said


@pytest.mark.parametrize(
    ("benchmark", "said"),
    [
        ({"source": "nowhere.jsonl"}, "curate.benchmarks.b.source is 'nowhere.jsonl'"),
        ({"source": "{there}", "problem_field": "text"}, "set curate.benchmarks.b.problem_field"),
        ({"source": "{empty}"}, "it is empty"),
    ],
)
def test_a_benchmark_that_cannot_be_read_ends_it(tmp_path, benchmark, said):
    """What is not known cannot be kept out."""
    (tmp_path / "empty.jsonl").touch()
    there = written(tmp_path / "there.jsonl", stand_in(3))
    names = {"there": there, "empty": str(tmp_path / "empty.jsonl")}
    source = benchmark["source"].format(**names)
    recipe = a_recipe(
        {"name": "x", "source": written(tmp_path / "x.jsonl", clean(5))},
        benchmarks=[{"name": "b", **benchmark, "source": source}],
    )
    assert said in fault(recipe)


def test_when_nothing_is_left_the_stage_is_named(tmp_path):
    rows = [Planted(str(n), f"Prove that {n} is less than {n + 1}.", "1") for n in range(9)]
    said = fault(a_recipe({"name": "x", "source": written(tmp_path / "x.jsonl", rows)}))
    assert "no problem is left after 'rules' (it asks for a proof)" in said
