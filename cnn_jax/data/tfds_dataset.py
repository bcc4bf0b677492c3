"""Datasets that TFDS or ``cnn-jax data prepare`` wrote as ArrayRecord.

They are read without TensorFlow.

Source: TensorFlow Datasets 4.9; a dataset is ``DIR/NAME/VERSION/`` with
    ``dataset_info.json``, ``features.json`` and shards of records.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.collection import Collection, Part, hold_out_last, open_collection
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.fingerprint import WHOLE
from cnn_jax.data.record_index import (
    Index,
    cache_labels,
    cached_labels,
    read_index,
    shards_fingerprint,
)
from cnn_jax.data.records import Records
from cnn_jax.data.tfds_names import find_prepared, parse_name
from cnn_jax.errors import UserError

VALIDATION = 5000
KEYS = ("id", "file_name", "image/filename")  # features that name an example
SPLITS = ("train", "validation", "test")


class _Features(NamedTuple):
    """The features of an example that are read."""

    image: str
    label: str
    shape: tuple[int | None, int | None, int]
    classes: tuple[str, ...]
    key: str | None


def open_tfds(dataset: str, data_dir: Path | None) -> Dataset:
    """Open a prepared dataset by its name in TFDS.

    Splits are those of TFDS. Where there is no ``test`` with labels, ``validation`` is the
    test split, as ImageNet's is in all papers. Where that leaves no validation, it is
    taken out of ``train``: of what ``cnn-jax data prepare`` wrote, the same examples that
    the original files' reader takes; of any other dataset, whose records TFDS shuffled,
    the last 5,000, or the last tenth where that is less.

    The fingerprint is that of the original files, if ``cnn-jax data prepare`` wrote the
    dataset and nothing in it has changed since; else that of metadata and shards.

    Args:
        dataset: ``tfds:NAME``, with a config and a version if need be.
        data_dir: TFDS' directory; None for its default.

    Raises:
        UserError: it is not prepared, not as ArrayRecord, or damaged; it has no image and
            label, or no train or test split.
    """
    return open_collection(find_tfds(dataset, data_dir))


def find_tfds(dataset: str, data_dir: Path | None) -> Collection:
    """Return the examples of a prepared dataset; see ``open_tfds``."""
    directory = find_prepared(dataset, data_dir)
    info = _info(directory)
    features = _features(dataset, info)
    lengths = {
        name: np.array(split.shard_lengths, np.int64)
        for name, split in info.splits.items()
        if name in SPLITS and split.num_examples
    }
    shards = {name: _shards(directory, info.splits[name]) for name in lengths}
    index, made_of, rule = _known(directory)
    parts = {
        name: Records(
            where=f"{dataset} {name}",
            split=name,
            shards=shards[name],
            lengths=lengths[name],
            image=features.image,
            key=features.key,
            names=None if index is None else index.names.get(name),
        )
        for name in lengths
    }
    labels = _labels(parts, features.label, made_of) if index is None else index.labels
    labelled = {name: Part(parts[name], labels[name]) for name in parts}
    if "test" in labelled and (labelled["test"].labels < 0).all():  # not published
        del labelled["test"]
    _check_splits(dataset, set(labelled), set(info.splits))
    held_out = None if index is None else index.held_out
    if held_out is None and not {"validation", "test"} <= set(labelled):
        held_out = hold_out_last(len(parts["train"]), VALIDATION, f"{dataset} train")
    height, width, channels = features.shape
    sized = height is not None and width is not None
    return Collection(
        name=dataset,
        label=f"{info.name} (TFDS)" if index is None else index.label,
        classes=features.classes,
        channels=channels,
        fingerprint=made_of if index is None else index.fingerprint,
        fingerprint_rule=rule if index is None else f"{index.rule}, before preparation",
        parts=labelled,
        held_out=held_out,
        grey=(height, width) if sized and channels == 1 else None,  # type: ignore[arg-type]
    )


def tfds_title(dataset: str) -> str:
    """Return what to call a dataset of TFDS before it is opened.

    Raises:
        UserError: it is no name of TFDS.
    """
    wanted = parse_name(dataset)
    return "/".join(part for part in (wanted.name, wanted.config) if part) + " (TFDS)"


def _info(directory: Path) -> Any:
    """Return TFDS' own description of a prepared dataset."""
    path = directory / "dataset_info.json"
    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("fileFormat", "tfrecord")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} can't be read: {error}") from None
    if kind != "array_record":
        raise UserError(
            f"{directory} is prepared as {kind}, which can't be read without TensorFlow;"
            " prepare it as array_record, with cnn-jax data prepare or with"
            " tfds build --file_format=array_record"
        )
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(f"tensorflow-datasets can't be imported: {error}") from None
    try:
        return tfds.builder_from_directory(directory).info
    except Exception as error:  # TFDS raises all sorts on damaged metadata
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{directory} can't be read by TFDS: {reason}") from None


def _features(dataset: str, info: Any) -> _Features:
    """Find the image and the label among the features."""
    import tensorflow_datasets as tfds

    found: Mapping[str, Any] = dict(info.features)
    pairs = [("image", "label")]
    if info.supervised_keys and [type(k) for k in info.supervised_keys] == [str, str]:
        pairs.insert(0, info.supervised_keys)
    for image, label in pairs:
        is_pair = isinstance(found.get(image), tfds.features.Image) and isinstance(
            found.get(label), tfds.features.ClassLabel
        )
        if (
            is_pair
            and found[image].shape[2] in (1, 3)
            and found[image].np_dtype == np.uint8
        ):
            key = next((name for name in KEYS if name in found), None)
            return _Features(
                image, label, found[image].shape, tuple(found[label].names), key
            )
    raise UserError(
        f"{dataset} has the features {', '.join(sorted(found))}; expected an image (uint8,"
        " 1 or 3 channels) and a class label"
    )


def _shards(directory: Path, split: Any) -> tuple[str, ...]:
    shards = tuple(str(directory / Path(path).name) for path in split.filepaths)
    missing = [shard for shard in shards if not Path(shard).is_file()]
    if missing:
        raise UserError(f"{missing[0]} is missing; {len(shards)} shards were expected")
    return shards


def _known(directory: Path) -> tuple[Index | None, str, str]:
    """Return the index that fits the shards, if there is one, and their fingerprint."""
    try:
        made_of, rule = shards_fingerprint(directory)
    except OSError as error:
        raise UserError(f"{error.filename} can't be read: {error.strerror}") from None
    return read_index(directory, made_of), made_of, rule


def _labels(
    parts: Mapping[str, Records], feature: str, made_of: str
) -> Mapping[str, np.ndarray]:
    """Read the labels out of all records; those of a large dataset only once."""
    known = cached_labels(made_of)
    if set(known) == set(parts):
        return known
    labels = {name: records.labels(feature) for name, records in parts.items()}
    if sum(Path(s).stat().st_size for part in parts.values() for s in part.shards) > WHOLE:
        cache_labels(made_of, labels)
    return labels


def _check_splits(dataset: str, usable: set[str], there: set[str]) -> None:
    if "train" in usable and usable & {"test", "validation"}:
        return
    missing = "train" if "train" not in usable else "test or validation"
    raise UserError(
        f"{dataset} has no {missing} split with labels; it has {', '.join(sorted(there))}"
    )
