"""Find a prepared TFDS dataset by its name: ``tfds:NAME[/CONFIG][:VERSION]``."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from cnn_jax.errors import UserError

PREFIX = "tfds:"
NAME = re.compile(r"[a-z][a-z0-9_]*")
VERSION = re.compile(r"\d+\.\d+\.\d+")
FORM = "tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:VERSION"


class Wanted(NamedTuple):
    """The parts of a name; config and version may be None."""

    name: str
    config: str | None
    version: str | None


def is_tfds(dataset: str) -> bool:
    """Tell whether a dataset's name stands for one of TFDS."""
    return dataset.startswith(PREFIX)


def parse_name(dataset: str) -> Wanted:
    """Return the parts of ``tfds:NAME``, with a config and a version in any order.

    Raises:
        UserError: it is no such name.
    """
    name, *rest = re.split("[/:]", dataset.removeprefix(PREFIX))
    versions = [part for part in rest if VERSION.fullmatch(part)]
    configs = [part for part in rest if part not in versions]
    fine = NAME.fullmatch(name) and len(versions) <= 1 and len(configs) <= 1
    # A name becomes a path: nothing in it may lead elsewhere.
    if not fine or any(part in ("", ".", "..") or "\\" in part for part in configs):
        raise UserError(f"dataset {dataset!r} is no name of TFDS; expected {FORM}")
    return Wanted(name, *(configs or [None]), *(versions or [None]))


def tfds_directory(data_dir: Path | None) -> Path:
    """Return TFDS' own directory: as given, or $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    if data_dir is not None:
        return data_dir
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def find_prepared(dataset: str, data_dir: Path | None) -> Path:
    """Return the directory of a prepared dataset, of its newest version if none is named.

    Raises:
        UserError: it is not there; the message has the command that prepares it.
    """
    wanted = parse_name(dataset)
    root = tfds_directory(data_dir)
    home = root / wanted.name
    if wanted.config is not None:
        home /= wanted.config
    versions = _versions(home)
    if not versions and wanted.config is None and home.is_dir():
        configs = sorted(path.name for path in home.iterdir() if _versions(path))
        if configs:
            raise UserError(
                f"{dataset} has the configs {', '.join(configs)} in {root};"
                f" name one: {PREFIX}{wanted.name}/{configs[0]}"
            )
    if not versions:
        raise UserError(
            f"{dataset} is not prepared in {root} (--data-dir, or TFDS_DATA_DIR);"
            f" prepare it: {_command(wanted.name, root)}"
        )
    if wanted.version is None:
        return home / versions[-1]
    if wanted.version not in versions:
        raise UserError(
            f"{dataset} is not prepared in {root}; there are versions {', '.join(versions)}"
        )
    return home / wanted.version


def _command(name: str, root: Path) -> str:
    return f"cnn-jax data prepare {name} --from DIR --out {root}"


def _versions(home: Path) -> list[str]:
    """Return the prepared versions in a directory, oldest first."""
    if not home.is_dir():
        return []
    found = [
        path.name
        for path in home.iterdir()
        if VERSION.fullmatch(path.name) and (path / "dataset_info.json").is_file()
    ]
    return sorted(found, key=lambda version: tuple(map(int, version.split("."))))
