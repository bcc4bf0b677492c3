"""What ``experiments/`` declares: experiments and studies by name."""

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.experiment.source_files import (
    declares,
    declaring_files,
    load_declared,
    load_user_file,
)
from cnn_jax.registry import check_name, lookup, unknown
from cnn_jax.study.study import Study


class Declared(NamedTuple):
    """Everything that was found, by name."""

    experiments: dict[str, Experiment]
    studies: dict[str, Study]


def load_all(directory: Path | None = None) -> Declared:
    """Load every declaring file.

    Args:
        directory: looked through before the usual places.

    Raises:
        UserError: a file that does not load, or two files that declare one experiment.
    """
    experiments: dict[str, Experiment] = {}
    studies: dict[str, Study] = {}
    declared_in: dict[str, Path] = {}
    for stem, path in declaring_files(directory).items():
        module = load_declared(path)
        for name, experiment in getattr(module, "EXPERIMENTS", {}).items():
            check_name(name, what=str(path))
            if name in declared_in:
                raise UserError(
                    f"experiment {name!r} is declared in {declared_in[name]} and in "
                    f"{path}; rename one, or let the file take the other's name"
                )
            experiments[name], declared_in[name] = experiment, path
        if hasattr(module, "STUDY"):
            studies[stem] = _study_of(module, path)
    return Declared(experiments, studies)


def _study_of(module: ModuleType, path: Path) -> Study:
    study: Any = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise UserError(f"{path} declares no STUDY = cnn_jax.Study(...)")
    return dataclasses.replace(study, name=path.stem)


def list_experiments(directory: Path | None = None) -> list[str]:
    """Return the names of all declared experiments, sorted."""
    return sorted(load_all(directory).experiments)


def load_experiment(name: str, directory: Path | None = None) -> Experiment:
    """Return a declared experiment.

    Raises:
        UserError: no such experiment; the message holds near names.
    """
    return lookup(load_all(directory).experiments, name, what="experiment")


def load_study(
    name_or_file: str, directory: Path | None = None
) -> tuple[Study, Path | None]:
    """Return a study, and the user's file if it comes from one.

    Args:
        name_or_file: a declared study's name, or a path ending in ``.py``.
        directory: looked through before the usual places.

    Raises:
        UserError: no such study or file, or the file declares none.
    """
    if name_or_file.endswith(".py"):
        path = Path(name_or_file).resolve()
        return _study_of(load_user_file(path), path), path
    files = declaring_files(directory)
    if name_or_file in files:
        module = load_declared(files[name_or_file])
        if hasattr(module, "STUDY"):
            return _study_of(module, files[name_or_file]), None
    studies = [stem for stem, path in files.items() if declares(path, "STUDY")]
    raise unknown(name_or_file, studies, what="study")
