"""The import contracts of ``pyproject.toml`` hold, and would notice if they did not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINT = (
    "import sys; from importlinter.cli import lint_imports; "
    "sys.exit(lint_imports(no_cache=True, no_logo=True))"
)


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the packages in ``folder`` in a fresh interpreter, which imports from there."""
    return subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=folder,
        env={**os.environ, "COLUMNS": "300", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_repository_keeps_its_import_contracts():
    run = _lint(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def test_planted_violations_are_found_and_named(tmp_path):
    for folder in ("cnn_jax", "experiments"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = {
        "cnn_jax/models/planted.py": ("cnn_jax.training", "cnn_jax.models.alexnet"),
        "cnn_jax/maths/planted.py": ("cnn_jax.layers",),
        "cnn_jax/data/planted.py": ("cnn_jax.optim", "experiments", "tensorflow"),
        "cnn_jax/planted.py": (),  # in no layer
    }
    for file, imports in planted.items():
        text = "".join(f"import {module}\n" for module in imports)
        (tmp_path / file).write_text(text, encoding="utf-8")

    run = _lint(tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    for file, imports in planted.items():
        importer = file.removesuffix(".py").replace("/", ".")
        assert importer in run.stdout
        for module in imports:
            assert f"{importer} -> {module}" in run.stdout
