"""What a network said of every example of a split, kept for later comparison.

Saved are logarithms of the probabilities: a probability of 1e-50 is 0 in float32, and the
numbers computed from a file must be those computed before it was written.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.training.run_directory import write_atomically

FILE = "predictions.npz"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was evaluated, on what, and how.

    Attributes:
        model: label of the network, for people.
        dataset: name as on the command line.
        dataset_label: for people.
        fingerprint: SHA-256 (hex) of the dataset's content.
        split: ``test``, ``validation`` or ``train``.
        protocol: e.g. ``"one-crop"``.
    """

    model: str
    dataset: str
    dataset_label: str
    fingerprint: str
    split: str
    protocol: str


class Predictions(NamedTuple):
    """One row an example, in the order of the split.

    Attributes:
        log_probabilities: float32 [N, classes], natural logarithms.
        labels: the right classes, int32 [N].
        classes: names of the classes.
        examples: what to call each example: its file, or its position in the split.
        setting: where the numbers come from.
    """

    log_probabilities: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    examples: tuple[str, ...]
    setting: Setting

    @property
    def probabilities(self) -> np.ndarray:
        """float32 [N, classes]."""
        return np.exp(self.log_probabilities)


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write an ``.npz`` file, atomically; the same predictions give the same bytes."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        log_probabilities=predictions.log_probabilities.astype("<f4"),
        labels=predictions.labels.astype("<i4"),
        # JSON in bytes, not NumPy's text: a file name may hold what is no valid Unicode.
        classes=_encoded(predictions.classes),
        examples=_encoded(predictions.examples),
        setting=_encoded(asdict(predictions.setting)),
    )
    write_atomically(path, content.getvalue())


def load_predictions(path: Path | str) -> Predictions:
    """Read what ``save_predictions`` wrote; nothing in the file is executed.

    Raises:
        UserError: no such file, or not one of ours.
    """
    with _opened(path) as arrays:
        predictions = Predictions(
            arrays["log_probabilities"].astype(np.float32),
            arrays["labels"].astype(np.int32),
            tuple(json.loads(bytes(arrays["classes"]))),
            tuple(json.loads(bytes(arrays["examples"]))),
            Setting(**json.loads(bytes(arrays["setting"]))),
        )
        rows = (len(predictions.labels), len(predictions.classes))
        if predictions.log_probabilities.shape != rows:
            raise ValueError("its parts do not fit one another")
    return predictions


def load_setting(path: Path | str) -> Setting:
    """Read only where the predictions of a file come from.

    Raises:
        UserError: no such file, or not one of ours.
    """
    with _opened(path) as arrays:
        return Setting(**json.loads(bytes(arrays["setting"])))


@contextmanager
def _opened(path: Path | str) -> Iterator[Mapping[str, np.ndarray]]:
    try:
        # Opened here, because NumPy leaves a file open that it can't read.
        with (
            open(path, "rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            yield arrays
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} is no readable predictions file of cnn-jax: {reason}"
        ) from None


def labels_digest(predictions: Predictions) -> str:
    """Return the SHA-256 (hex) of the labels and the names of the classes."""
    sha = hashlib.sha256(predictions.labels.astype("<i4").tobytes())
    sha.update(json.dumps(predictions.classes).encode())
    return sha.hexdigest()


def check_same_examples(first: Predictions, second: Predictions) -> None:
    """Refuse predictions that are not of the same examples with the same classes.

    The protocols may differ: one crop against ten crops is a fair question.

    Raises:
        UserError: with what differs.
    """
    one, other = first.setting, second.setting
    named = f"{one.model} and {other.model}"
    if one.fingerprint != other.fingerprint:
        a, b = one.dataset_label, other.dataset_label
        kinds = f"{a} and {b}" if a != b else f"two different contents of {a}"
        raise UserError(f"{named} were evaluated on different data: {kinds}")
    if one.split != other.split:
        raise UserError(
            f"{named} were evaluated on different splits: {one.split} and {other.split}"
        )
    if first.classes != second.classes:
        raise UserError(
            f"{named} have different classes: {_listed(first.classes)} and "
            f"{_listed(second.classes)}"
        )
    if len(first.labels) != len(second.labels):
        raise UserError(
            f"{named} were evaluated on {len(first.labels):,} and "
            f"{len(second.labels):,} examples of {one.dataset_label}, {one.split}"
        )
    if first.examples != second.examples or (first.labels != second.labels).any():
        raise UserError(
            f"{named} were evaluated on other examples, or on other labels, of "
            f"{one.dataset_label}, {one.split}"
        )


def _listed(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:3])
    return f"{len(classes)} ({shown}, ...)" if len(classes) > 3 else f"({shown})"


def _encoded(value: object) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)
