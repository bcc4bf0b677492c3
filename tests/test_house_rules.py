"""The rules of the house that no linter knows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = sorted(
    path
    for folder in ("cnn_jax", "experiments", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
PACKAGE = [path for path in PYTHON if path.is_relative_to(ROOT / "cnn_jax")]
MODELS = [p for p in PACKAGE if p.parent.name == "models" and p.stem != "__init__"]


def _where(path):
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check():
    assert len(PACKAGE) > 20
    assert len(MODELS) >= 5


def test_no_module_is_longer_than_300_lines():
    lines = {_where(p): len(p.read_text(encoding="utf-8").splitlines()) for p in PYTHON}
    assert {path: count for path, count in lines.items() if count > 300} == {}


def test_no_module_is_a_place_for_anything():
    vague = {"utils", "util", "common", "helpers", "misc"}
    names = {p: {p.stem, *p.relative_to(ROOT).parent.parts} for p in PYTHON}
    assert [_where(p) for p, parts in names.items() if parts & vague] == []


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_file_states_its_source_and_its_departures(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    lines = docstring.splitlines()
    for heading in ("Source:", "Departures:"):
        assert heading in lines, f"{_where(path)}: no line {heading!r} in its docstring"
        below = lines[lines.index(heading) + 1 :]
        assert below, heading
        assert below[0].startswith("    "), f"{_where(path)}: nothing under {heading}"


def test_annotations_are_not_postponed():
    # Flax and jaxtyping read annotations when a class is made.
    postponed = "from __future__ " + "import annotations"
    assert [_where(p) for p in PYTHON if postponed in p.read_text(encoding="utf-8")] == []


def _public_without_docstring(tree, prefix=""):
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _public_without_docstring(node, f"{prefix}{node.name}.")


def test_every_module_and_everything_public_in_it_says_what_it_is():
    missing = []
    for path in PACKAGE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            missing.append(_where(path))
        missing += [f"{_where(path)}: {name}" for name in _public_without_docstring(tree)]
    assert missing == []


def test_importing_the_package_is_fast_and_does_not_import_jax():
    program = (
        "import sys, time; start = time.perf_counter(); import cnn_jax; "
        "print(time.perf_counter() - start); "
        "print(sorted({'jax', 'jaxlib', 'flax', 'numpy', 'tensorflow'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seconds, heavy = run.stdout.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 1.5
