"""SVHN, the cropped digits of house numbers, in its MATLAB files.

Source: Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu and A. Ng, "Reading Digits in
    Natural Images with Unsupervised Feature Learning", NIPS Workshop 2011; the dataset's
    page, "Format 2: Cropped Digits": ``train_32x32.mat``, ``test_32x32.mat`` and
    ``extra_32x32.mat`` hold X, uint8 [32, 32, 3, N], and y, 1 to 10, where 10 is the
    digit 0.
"""

from pathlib import Path

import numpy as np

from cnn_jax.data.collection import Collection, Part, hold_out_last, open_collection
from cnn_jax.data.data_dir import check_data_dir
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.fingerprint import fingerprint_of_arrays
from cnn_jax.errors import UserError

SIDE = 32
VALIDATION = 5000
EXPECTED = "expected a directory with train_32x32.mat and test_32x32.mat of SVHN"


def open_svhn_cropped(data_dir: Path | None) -> Dataset:
    """Open ``svhn_cropped`` from a directory with its files; label 10 becomes 0.

    Validation is the last 5,000 training images (of fewer than 50,000: the last tenth).
    ``extra_32x32.mat`` is not read.

    Raises:
        UserError: no such directory or file, or a file that is not what it should be.
    """
    return open_collection(find_svhn_cropped(data_dir))


def find_svhn_cropped(data_dir: Path | None, *, extra: bool = False) -> Collection:
    """Return the examples of ``svhn_cropped``; see ``open_svhn_cropped``.

    Args:
        data_dir: what the user gave.
        extra: whether ``extra_32x32.mat``, where it is there, is a part of its own.
    """
    directory = check_data_dir(data_dir, "svhn_cropped", EXPECTED)
    names = ["train", "test"]
    if extra and (directory / "extra_32x32.mat").is_file():
        names.append("extra")
    parts = {part: _read(directory / f"{part}_32x32.mat") for part in names}
    arrays = {f"{part}-images": parts[part].images for part in ("train", "test")}
    arrays |= {f"{part}-labels": parts[part].labels for part in ("train", "test")}
    return Collection(
        name="svhn_cropped",
        label="SVHN (cropped)",
        classes=tuple("0123456789"),
        channels=3,
        fingerprint=fingerprint_of_arrays(**arrays),  # type: ignore[arg-type]
        fingerprint_rule="all images and labels of train and test",
        parts=parts,
        held_out=hold_out_last(
            len(parts["train"].labels), VALIDATION, str(directory / "train_32x32.mat")
        ),
    )


def _read(path: Path) -> Part:
    from scipy.io import loadmat

    if not path.is_file():
        raise UserError(f"{path} is missing; {EXPECTED}")
    try:
        found = loadmat(path, variable_names=("X", "y"))
    except OSError as error:
        if error.strerror:
            raise UserError(f"{path} can't be read: {error.strerror}") from None
        raise _damaged(path, error) from None
    except Exception as error:  # SciPy's reader raises all sorts on damaged files
        raise _damaged(path, error) from None
    images, labels = found.get("X"), found.get("y")
    if images is None or labels is None:
        raise UserError(f"{path} has no variables X and y; {EXPECTED}")
    if images.dtype != np.uint8 or images.shape[:3] != (SIDE, SIDE, 3):
        raise UserError(
            f"{path}: X is {images.dtype} {list(images.shape)},"
            f" expected uint8 [{SIDE}, {SIDE}, 3, N]"
        )
    labels = labels.ravel()
    if images.ndim != 4 or len(labels) != images.shape[3]:
        raise UserError(
            f"{path}: X is {list(images.shape)}, but y has {len(labels)} labels"
        )
    wrong = np.flatnonzero((labels < 1) | (labels > 10))
    if len(wrong):
        raise UserError(
            f"{path}: label {labels[wrong[0]]} at index {wrong[0]}, allowed 1 to 10"
        )
    turned = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
    return Part(turned, (labels % 10).astype(np.int32))


def _damaged(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(f"{path} is truncated or damaged, or no MATLAB 5 file: {reason}")
