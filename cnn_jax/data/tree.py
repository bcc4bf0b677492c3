"""Find and read a tree ``train/<class>/*``, ``test/<class>/*``: a directory or a tar."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cnn_jax.data.archive import Parts, is_archive, read_archive
from cnn_jax.data.decoding import ImageFile
from cnn_jax.errors import UserError

SPLITS = ("train", "test")
EXPECTED = (
    "expected a directory with train/<class>/ and test/<class>/, or a tar of one"
    " (.tar, .tar.gz, .tar.xz)"
)

Found = dict[Parts, bytes | None]
"""Contents by path; None stands for a folder."""


class Entry(NamedTuple):
    """One image file of the tree, encoded."""

    folder: str
    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Tree:
    """An image tree, read but not decoded.

    Attributes:
        name: of the folder or the archive, without suffix.
        where: what stands before ``train/...`` in a message: ``"dir/"``, ``"a.tar!"``.
        classes: class names, sorted.
        train: files, sorted by class and name.
        test: likewise.
    """

    name: str
    where: str
    classes: tuple[str, ...]
    train: tuple[Entry, ...]
    test: tuple[Entry, ...]

    def files(self, split: str, entries: tuple[Entry, ...]) -> list[ImageFile]:
        """Return entries with the names under which messages speak of them."""
        return [
            ImageFile(f"{self.where}{split}/{entry.folder}/{entry.name}", entry.content)
            for entry in entries
        ]


def read_tree(data_dir: Path | None, dataset: str) -> Tree:
    """Read all files of the tree that ``data_dir`` stands for.

    ``data_dir`` may be the archive itself, the directory that holds ``train`` and
    ``test``, a directory with exactly one folder that does, or a directory with exactly
    one tar archive; they are looked for in this order. In an archive, too, the tree may
    lie inside one folder. Archives are known by their content, not their suffix.

    Names that begin with a dot are ignored, and so is what lies beside ``train`` and
    ``test``. Symbolic links in a directory are followed; in an archive they are refused.

    Args:
        data_dir: what the user gave.
        dataset: name of the dataset, for messages.

    Raises:
        UserError: there is no such tree, or it is not as it should be.
    """
    if data_dir is None:
        raise UserError(f"{dataset} needs --data-dir; {EXPECTED}")
    if not data_dir.exists():
        raise UserError(f"--data-dir {data_dir} does not exist; {EXPECTED}")
    if data_dir.is_file():
        return _from_archive(data_dir)
    try:
        return _from_directory(data_dir)
    except OSError as error:
        where = error.filename or data_dir
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
        found = f"has several to choose from ({several})" if several else "has none"
        raise UserError(f"--data-dir {directory} {found}; {EXPECTED}")
    found_files: Found = {}
    for split in SPLITS:
        if (root / split).is_dir():
            found_files[(split,)] = None
            _walk(os.fspath(root / split), (split,), found_files)
    return _checked(found_files, name=root.resolve().name, where=f"{root}{os.sep}")


def _walk(folder: str, parts: Parts, found: Found) -> None:
    """Read ``<class>/<file>`` below a split; a folder any deeper is only noted."""
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
                with open(entry.path, "rb") as file:
                    found[inner] = file.read()


def _checked(found: Found, *, name: str, where: str) -> Tree:
    """Sort what was found into a ``Tree``, or say what is wrong with it."""
    files = _by_class(found, where)
    train, test = set(files["train"]), set(files["test"])
    if train != test:
        only = [f"train/{c}" for c in sorted(train - test)]
        only += [f"test/{c}" for c in sorted(test - train)]
        raise UserError(
            f"{where}train and {where}test must have the same classes;"
            f" without a counterpart: {', '.join(only)}"
        )
    return Tree(
        name=name,
        where=where,
        classes=tuple(sorted(train)),
        train=tuple(e for c in sorted(train) for e in files["train"][c]),
        test=tuple(e for c in sorted(test) for e in files["test"][c]),
    )


def _by_class(found: Found, where: str) -> dict[str, dict[str, list[Entry]]]:
    """Return the files by split and class, each sorted by name."""
    files: dict[str, dict[str, list[Entry]]] = {split: {} for split in SPLITS}
    for parts, content in sorted(found.items(), key=lambda item: item[0]):
        if parts[0] not in SPLITS or (len(parts) == 1 and content is None):
            continue
        depth = len(parts) + (content is None)  # a folder: that of the files in it
        if depth != 3:
            kind = "lies outside of a" if depth < 3 else "is a folder inside a"
            raise UserError(f"{where}{'/'.join(parts[:3])} {kind} class folder; {EXPECTED}")
        in_class = files[parts[0]].setdefault(parts[1], [])
        if content is not None:
            in_class.append(Entry(parts[1], parts[2], content))
    for split in SPLITS:
        if not files[split]:
            raise UserError(f"{where}{split} is missing or empty; {EXPECTED}")
        for folder, entries in files[split].items():
            if not entries:
                raise UserError(f"{where}{split}/{folder} is empty, expected images")
    return files
