"""The house numbers: small files, small functions, names from the glossary."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(p for d in ("openrs_core", "services") for p in (ROOT / d).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LONGEST_FILE, LONGEST_TEST_FILE, LONGEST_FUNCTION = 300, 400, 40


def public(tree: ast.Module | ast.ClassDef) -> list[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes that others may use, and the methods of such classes."""
    kinds = ast.FunctionDef | ast.ClassDef
    found = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
    inner = [m for n in found if isinstance(n, ast.ClassDef) for m in public(n)]
    return [*found, *inner]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_a_file_fits_in_one_reading(path):
    assert path.read_text().count("\n") <= LONGEST_FILE


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_a_test_file_fits_in_one_reading(path):
    assert path.read_text().count("\n") <= LONGEST_TEST_FILE


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_a_function_fits_on_a_screen_and_a_public_one_says_what_it_does(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the file says what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name
    for node in public(tree):
        assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_no_file_runs_what_it_loads(path):
    """Models are safetensors and never bring code; nothing is unpickled; TLS is always verified."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    for call in calls:
        name = ast.unparse(call.func)
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if name.endswith(".from_pretrained") or name == "LLM":
            assert given.get("trust_remote_code") == "False"
        if name.endswith("ForCausalLM.from_pretrained"):
            assert given.get("use_safetensors") == "True"
        if name == "LLM":
            assert given.get("load_format") == "'safetensors'"
        assert name not in {"torch.load", "pickle.load", "pickle.loads", "eval", "exec"}
        assert given.get("allow_pickle") in {None, "False"}
        assert "CERT_NONE" not in ast.unparse(call)
        assert given.get("check_hostname") in {None, "True"}


AT_HOME = {
    "torch": ("services/learner/trainer/", "services/sampler/", "services/model/", "services/toy/"),
    "transformers": ("services/learner/trainer/", "services/model/", "services/toy/"),
    "vllm": ("services/sampler/",),
    "deepspeed": ("services/learner/trainer/",),
    "math_verify": (
        "services/scorer/comparison.py",
        "services/scorer/harness.py",
        "services/issuing/references.py",
    ),
    "pebble": (
        "services/scorer/verifier.py",
        "services/scorer/rewards/own.py",
        "services/issuing/references.py",
    ),
    "regex": ("services/scorer/rewards/language.py",),
    "py3langid": ("services/scorer/rewards/language.py",),
    "datasets": ("services/issuing/sources.py",),
    "pyarrow": (
        "services/issuing/sources.py",
        "services/evaluator/samples.py",
        "services/curator/dataset.py",
    ),
    "scipy": ("services/evaluator/",),
    "inspect_ai": ("services/evaluator/inspect_log.py",),
    "matplotlib": (
        "services/evaluator/pictures.py",
        "services/curator/pictures.py",
        "services/exporter/curve.py",
    ),
    "huggingface_hub": ("services/model", "services/exporter/"),
}
"""Where each heavy library may be imported, at the top of a file or inside a function."""


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_a_heavy_library_is_imported_only_where_it_is_at_home(path):
    strangers = {library for library in AT_HOME if not name(path).startswith(AT_HOME[library])}
    assert not imported(path) & strangers


@pytest.mark.parametrize("library", AT_HOME)
def test_every_home_of_a_heavy_library_is_lived_in(library):
    """A place that no longer imports it is struck from the list."""
    users = [name(path) for path in PRODUCT if library in imported(path)]
    for home in AT_HOME[library]:
        assert any(user.startswith(home) for user in users), home


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_no_test_leans_on_a_benchmark(path):
    assert "benchmarks" not in imported(path)


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_no_file_is_a_drawer_for_everything(path):
    assert path.stem not in {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_nothing_is_read_that_could_run_what_it_says(path):
    """A pickle does; torch.load reads one, and DeepSpeed's own checkpoints are made of them."""
    for call in ("torch.load(", "import pickle", "pickle.", "save_checkpoint(", "load_checkpoint("):
        assert call not in path.read_text()
