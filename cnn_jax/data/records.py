"""Image files that lie in the records of ArrayRecord shards, as TFDS writes them.

Source: TensorFlow Datasets 4.9, ``core/example_serializer.py``: a record is a serialized
    ``tf.train.Example``, a map from feature names to lists of bytes or numbers.

Own reading, under the metadata of TFDS, instead of ``tfds.data_source``: that one decodes
with OpenCV or plain Pillow, keeps every shard's file open (more than a process may have,
of ImageNet), and asks for one record in a way that takes 20 times as long as for a range
of one (ArrayRecord 0.8.6: 100 against 5 microseconds of processor time).
"""

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.decoding import ImageFile
from cnn_jax.errors import UserError

MOST_OPEN = 256  # shards at once; a process may often have 1,024 files
OPTIONS = "readahead_buffer_size:0,max_parallelism:0"  # for random access
BUFFER = 32768  # bytes read at once
SCAN = 1024  # records read at once to find their labels


@dataclass(frozen=True, kw_only=True, eq=False)
class Records:
    """The images of one split; can be pickled and read from threads.

    Attributes:
        where: what to call the split in a message, e.g. ``"tfds:cifar10 train"``.
        split: its name in TFDS.
        shards: files.
        lengths: records of each shard, int64 [shards].
        image: name of the feature that is the image.
        key: name of a feature that names an example; None for none.
        names: of all examples of the split, UTF-8 bytes; None where they are numbered.
        positions: of the examples in the split, int64 [N]; None for all.
    """

    where: str
    split: str
    shards: tuple[str, ...]
    lengths: np.ndarray
    image: str
    key: str | None = None
    names: np.ndarray | None = None
    positions: np.ndarray | None = None

    def __len__(self) -> int:
        """Return how many examples there are."""
        return int(self.lengths.sum()) if self.positions is None else len(self.positions)

    def read(self, position: int) -> ImageFile:
        """Return one image, encoded.

        Raises:
            UserError: the record can't be read, or has no image; the message has its key.
        """
        index = self._index(position)
        shard = int(np.searchsorted(np.cumsum(self.lengths), index, side="right"))
        row = index - int(self.lengths[:shard].sum())
        try:
            features = parse(
                _records(self.shards[shard], self.lengths[shard], row, row + 1)[0]
            )
        except UserError as error:
            raise UserError(
                f"{self.where}, record {self.name(position)}: {error}"
            ) from None
        called = f"{self.where}, record {index}{self._called(features, index)}"
        image = features[self.image].bytes_list.value if self.image in features else None
        if not image:
            raise UserError(f"{called} has no feature {self.image!r} with one image")
        return ImageFile(called, image[0])

    def name(self, position: int) -> str:
        """Return what to call one example: its name, or split and number."""
        index = self._index(position)
        if self.names is None:
            return f"{self.split}/{index}"
        return bytes(self.names[index]).decode("utf-8", "surrogateescape")

    def take(self, positions: np.ndarray) -> "Records":
        """Return some of the examples; ``positions`` are numbers, or bool [N]."""
        before = np.arange(len(self)) if self.positions is None else self.positions
        return replace(self, positions=before[positions])

    def labels(self, feature: str) -> np.ndarray:
        """Return a number of every record of the split, int32, reading all of them.

        Raises:
            UserError: a record can't be read, or has no such number.
        """
        found: list[int] = []
        for shard, length in zip(self.shards, self.lengths.tolist(), strict=True):
            for start in range(0, length, SCAN):
                for record in _records(shard, length, start, min(start + SCAN, length)):
                    features = parse(record)
                    value = (
                        features[feature].int64_list.value if feature in features else ()
                    )
                    if len(value) != 1:
                        called = f"record {len(found)}{self._called(features, len(found))}"
                        raise UserError(
                            f"{self.where}, {called} has no feature {feature!r} with a"
                            " number"
                        )
                    found.append(features[feature].int64_list.value[0])
        return np.array(found, np.int32)

    def _index(self, position: int) -> int:
        return position if self.positions is None else int(self.positions[position])

    def _called(self, features: Any, index: int) -> str:
        if self.names is not None:
            return f" ({bytes(self.names[index]).decode('utf-8', 'replace')})"
        if self.key is None or self.key not in features:
            return ""
        key = b"".join(features[self.key].bytes_list.value)
        return f" ({key.decode('utf-8', 'replace')})"


def parse(record: bytes) -> Any:
    """Return the features of a serialized example, by name.

    Raises:
        UserError: it is none.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow_datasets.proto import tf_example_pb2

    try:
        return tf_example_pb2.Example.FromString(record).features.feature
    except DecodeError:
        raise UserError("is no tf.train.Example") from None


def array_record() -> Any:
    """Return the module that reads and writes shards.

    Raises:
        UserError: it is not installed.
    """
    try:
        from array_record.python import array_record_module
    except ImportError:
        raise UserError(
            "datasets of TFDS need the package array-record (there is none for Windows)"
        ) from None
    return array_record_module


def count_records(shard: Path | str) -> int:
    """Return how many records a shard holds; 0 of a file that is no whole ArrayRecord.

    Raises:
        UserError: the file can't be read.
    """
    try:
        reader = array_record().ArrayRecordReader(os.fspath(shard), OPTIONS)
        count = reader.num_records()
        reader.close()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{shard} can't be read: {_reason(error)}") from None
    return count


def _records(shard: str, length: int, start: int, stop: int) -> list[bytes]:
    """Return a range of a shard's records."""
    try:
        changed = os.stat(shard).st_mtime_ns
        opened = _Opened(shard, int(length), changed, os.getpid())
        return _reader(opened).read(start, stop)
    except OSError as error:
        raise UserError(f"{shard} can't be read: {error.strerror}") from None
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"{shard} can't be read: {_reason(error)}") from None


class _Opened(NamedTuple):
    """A shard as it was when its reader was opened; threads share it, processes don't."""

    shard: str
    length: int
    changed: int
    process: int


@lru_cache(maxsize=MOST_OPEN)
def _reader(opened: _Opened) -> Any:
    reader = array_record().ArrayRecordReader(
        opened.shard, OPTIONS, file_reader_buffer_size=BUFFER
    )
    count = reader.num_records()
    if count != opened.length:
        raise UserError(
            f"{opened.shard} is truncated or damaged: it holds {count} records,"
            f" expected {opened.length}"
        )
    return reader


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
