"""Find and load the files that declare experiments and studies.

A file declares ``EXPERIMENTS`` (name -> Experiment) or ``STUDY``; nothing registers. Three
places are looked through, the first that has a name wins: the directory that the user
names, ``experiments/`` in the working directory, and the ones that come with the package.
"""

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.registry import NAME

PACKAGE = "declared_experiments"


def packaged_directory() -> Path:
    """Return the declared experiments of the wheel, or of the checkout."""
    package = Path(cnn_jax.__file__).resolve().parent
    installed = package / "_experiments"
    return installed if installed.is_dir() else package.parent / "experiments"


def declaring_files(directory: Path | None = None) -> dict[str, Path]:
    """Return the declaring files by stem.

    Args:
        directory: of the user, looked through first.

    Raises:
        UserError: ``directory`` is not there.
    """
    if directory is not None and not directory.is_dir():
        raise UserError(f"--experiments {directory} is not a directory")
    roots = [Path.cwd() / "experiments", packaged_directory()]
    found: dict[str, Path] = {}
    for root in [directory, *roots] if directory else roots:
        for path in sorted(root.glob("*.py")):
            if path.stem not in found and declares(path):
                found[path.stem] = path.resolve()
    return dict(sorted(found.items()))


def declares(path: Path, what: str = "EXPERIMENTS|STUDY") -> bool:
    """Return whether a file assigns one of the names at its top level, by its text."""
    try:
        text = path.read_text(encoding="utf-8")
        return bool(re.search(rf"^({what})\b", text, re.MULTILINE))
    except (OSError, UnicodeDecodeError):
        return False


def load_declared(path: Path) -> ModuleType:
    """Import a declaring file as a module of its folder, so that it may import siblings."""
    # All places are one package, so a copy of one file finds its siblings in the others.
    package = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    usual = [Path.cwd() / "experiments", packaged_directory()]
    roots = usual if path.parent in usual else [path.parent, *usual]
    package.__path__ = [str(root) for root in roots]
    for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
        if not _is_first(Path(str(sys.modules[name].__file__)), roots):
            del sys.modules[name]  # of another working directory
    return _import(f"{PACKAGE}.{path.stem}", path)


def _is_first(file: Path, roots: Iterable[Path]) -> bool:
    """Return whether ``file`` is what an import would find now."""
    found = (root / file.name for root in roots if (root / file.name).exists())
    return next(found, None) == file


def load_user_file(path: Path) -> ModuleType:
    """Import a user's own file under its stem, with its folder importable.

    Raises:
        UserError: no such file, a name that cannot be one, or code that does not load.
    """
    path = path.resolve()
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    stem = path.stem
    if not NAME.fullmatch(stem):
        raise UserError(f"{path.name}: the name must match [a-z0-9][a-z0-9_]*, then .py")
    loaded = sys.modules.get(stem)
    if loaded is not None:
        if not _same(getattr(loaded, "__file__", None), path):
            raise UserError(
                f"{path.name}: a module called {stem} is loaded already; rename it"
            )
        return loaded
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    found = importlib.util.find_spec(stem)
    if found is None or not _same(found.origin, path):
        raise UserError(f"{path.name}: Python has a module called {stem}; rename the file")
    return _import(stem, path)


def _same(file: str | None, path: Path) -> bool:
    """Return whether a module's file is ``path`` or a copy of it."""
    there = Path(file or "")
    return there.is_file() and there.read_bytes() == path.read_bytes()


def _import(name: str, path: Path) -> ModuleType:
    try:
        ast.parse(path.read_text(encoding="utf-8"), str(path))
        return importlib.import_module(name)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:
        line = _line_of(error, path)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{path}{line} does not load: {reason}") from error


def _line_of(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    trace, line = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return line
