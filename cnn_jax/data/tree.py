"""Find a tree ``train/<class>/*``, ``test/<class>/*`` of files: a directory or a tar."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax.data.archive import Parts, is_archive, read_archive
from cnn_jax.data.data_dir import check_data_dir
from cnn_jax.data.stored_files import Stored, StoredFiles, Stretch, stored_files
from cnn_jax.errors import UserError

SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""What the folders of the splits are called, and which split that is."""

EXPECTED = (
    "expected a directory with train/<class>/ and test/<class>/, or a tar of one"
    " (.tar, .tar.gz, .tar.xz)"
)

Found = dict[Parts, Stored | None]
"""Contents by path; None stands for a folder."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """An image tree; its files lie where they lay, or were unpacked into memory.

    Attributes:
        name: of the folder or the archive, without suffix.
        where: what stands before ``train/...`` in a message: ``"dir/"``, ``"a.tar!"``.
        classes: class names, sorted.
        files: by split, sorted by class and name; called ``train/cat/0.png``.
        labels: of the files, int32 [N].
    """

    name: str
    where: str
    classes: tuple[str, ...]
    files: dict[str, StoredFiles]
    labels: dict[str, np.ndarray]


def read_tree(data_dir: Path | None, dataset: str) -> Tree:
    """Find all files of the tree that ``data_dir`` stands for.

    ``data_dir`` may be the archive itself, the directory that holds ``train`` and
    ``test``, a directory with exactly one folder that does, or a directory with exactly
    one tar archive; they are looked for in this order. In an archive, too, the tree may
    lie inside one folder. Archives are known by their content, not their suffix.

    There may be a ``validation`` (or ``val``) beside ``train`` and ``test``, or in place of
    ``test``. Names that begin with a dot are ignored, and so is what else lies there.
    Symbolic links in a directory are followed; in an archive they are refused.

    Args:
        data_dir: what the user gave.
        dataset: name of the dataset, for messages.

    Raises:
        UserError: there is no such tree, or it is not as it should be.
    """
    place = check_data_dir(data_dir, dataset, EXPECTED, file=True)
    if place.is_file():
        return _from_archive(place)
    try:
        return _from_directory(place)
    except OSError as error:
        where = error.filename or place
        raise UserError(f"{where} can't be read: {error.strerror}") from None


def _from_archive(path: Path) -> Tree:
    members = read_archive(path)
    visible = {
        parts: content
        for parts, content in members.items()
        if not any(part.startswith(".") for part in parts)
    }
    top = ""
    if not any(parts[0] in SPLITS for parts in visible):
        holders = {parts[0] for parts in visible if len(parts) > 1 and parts[1] in SPLITS}
        if len(holders) != 1:
            raise UserError(f"{path} has no train/ and test/; {EXPECTED}")
        top = holders.pop()
        visible = {p[1:]: c for p, c in visible.items() if p[0] == top and len(p) > 1}
    name = path.name.removesuffix(".xz").removesuffix(".gz").removesuffix(".tgz")
    where = f"{path}!{top}/" if top else f"{path}!"
    return _checked(visible, name=name.removesuffix(".tar"), where=where)


def _from_directory(directory: Path) -> Tree:
    visible = sorted(p for p in directory.iterdir() if not p.name.startswith("."))
    if not visible:
        raise UserError(f"--data-dir {directory} is empty; {EXPECTED}")
    holders = [p for p in visible if p.is_dir() and any((p / s).is_dir() for s in SPLITS)]
    if any((directory / split).is_dir() for split in SPLITS):
        root = directory
    elif len(holders) == 1:
        root = holders[0]
    else:
        archives = [p for p in visible if p.is_file() and is_archive(p)]
        if len(archives) == 1:
            return _from_archive(archives[0])
        several = ", ".join(p.name for p in [*holders, *archives])
        found = (
            f"has several to choose from ({several})"
            if several
            else "holds no tree of images"
        )
        raise UserError(f"--data-dir {directory} {found}; {EXPECTED}")
    found_files: Found = {}
    for split in SPLITS:
        if (root / split).is_dir():
            found_files[(split,)] = None
            _walk(os.path.join(root, split), (split,), found_files)
    return _checked(found_files, name=root.resolve().name, where=os.path.join(root, ""))


def _walk(folder: str, parts: Parts, found: Found) -> None:
    """Find ``<class>/<file>`` below a split; a folder any deeper is only noted."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            inner = (*parts, entry.name)
            if entry.is_dir():
                found[inner] = None
                if len(inner) < 3:
                    _walk(entry.path, inner, found)
            else:
                found[inner] = Stretch(entry.path, 0, entry.stat().st_size)


def _checked(found: Found, *, name: str, where: str) -> Tree:
    """Sort what was found into a ``Tree``, or say what is wrong with it."""
    by_class = _by_class(found, where)
    folders = {SPLITS[f]: f for f in SPLITS if f in by_class}
    if len(folders) < len(by_class):
        raise UserError(f"{where} has both validation/ and val/, expected one of them")
    for split, instead in (("train", "train"), ("test", "validation")):
        if split not in folders and instead not in folders:
            raise UserError(f"{where}{split} is missing or empty; {EXPECTED}")
    classes = sorted(by_class["train"])
    for folder, inside in by_class.items():
        only = [f"train/{c}" for c in classes if c not in inside]
        only += [f"{folder}/{c}" for c in inside if c not in by_class["train"]]
        if only:
            raise UserError(
                f"{where}train and {where}{folder} must have the same classes;"
                f" without a counterpart: {', '.join(only)}"
            )
    return Tree(
        name=name,
        where=where,
        classes=tuple(classes),
        files={
            split: stored_files(where, (file for c in classes for file in by_class[f][c]))
            for split, f in folders.items()
        },
        labels={
            split: np.repeat(
                np.arange(len(classes), dtype=np.int32),
                [len(by_class[f][c]) for c in classes],
            )
            for split, f in folders.items()
        },
    )


def _by_class(found: Found, where: str) -> dict[str, dict[str, list[tuple[str, Stored]]]]:
    """Return the files by split folder and class, each sorted by name."""
    files: dict[str, dict[str, list[tuple[str, Stored]]]] = {}
    for parts, content in sorted(found.items(), key=lambda item: item[0]):
        if parts[0] not in SPLITS or (len(parts) == 1 and content is None):
            continue
        depth = len(parts) + (content is None)  # a folder: that of the files in it
        if depth != 3:
            kind = "lies outside of a" if depth < 3 else "is a folder inside a"
            raise UserError(f"{where}{'/'.join(parts[:3])} {kind} class folder; {EXPECTED}")
        in_class = files.setdefault(parts[0], {}).setdefault(parts[1], [])
        if content is not None:
            in_class.append(("/".join(parts), content))
    for folder, inside in files.items():
        for name, entries in inside.items():
            if not entries:
                raise UserError(f"{where}{folder}/{name} is empty, expected images")
    return files
