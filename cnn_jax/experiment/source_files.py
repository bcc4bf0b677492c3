"""Find and load the files that declare experiments and studies.

A file declares ``EXPERIMENTS`` (name -> Experiment) or ``STUDY``; nothing registers. Three
places are looked through, the first that has a name wins: the directory that the user
names, ``experiments/`` in the working directory, and the ones that come with the package.
"""

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.registry import NAME

_DECLARES = re.compile(r"^(EXPERIMENTS|STUDY)\b", re.MULTILINE)


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
            if path.stem not in found and _declares(path):
                found[path.stem] = path.resolve()
    return dict(sorted(found.items()))


def _declares(path: Path) -> bool:
    try:
        return bool(_DECLARES.search(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def load_declared(path: Path) -> ModuleType:
    """Import a declaring file as a module of its folder, so that it may import siblings."""
    folder = path.parent
    if folder == Path(cnn_jax.__file__).resolve().parent / "_experiments":
        package = "cnn_jax._experiments"
    else:
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        package = f"declared_experiments_{digest}"
        if package not in sys.modules:
            module = ModuleType(package)
            module.__path__ = [str(folder)]
            sys.modules[package] = module
    return _import(f"{package}.{path.stem}", path)


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
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
        raise UserError(f"{path.name}: a module called {stem} is loaded already; rename it")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    if importlib.util.find_spec(stem).origin != str(path):  # type: ignore[union-attr]
        raise UserError(f"{path.name}: Python has a module called {stem}; rename the file")
    return _import(stem, path)


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
