"""MNIST in its IDX files.

Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", file
    format section: big-endian magic number (third byte 8 = unsigned byte, fourth byte =
    number of dimensions), the dimensions as 32-bit integers, then the bytes.
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np

from cnn_jax.data.dataset import Dataset, Split, Splits
from cnn_jax.data.fingerprint import fingerprint
from cnn_jax.data.pixels import check_shape, pad_grey, resize_grey, with_channels
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

IMAGES, LABELS = 2051, 2049  # magic numbers: unsigned bytes in 3 and in 1 dimensions
SIDE = 28
VALIDATION = 5000
MAX_PADDING = 4  # pixels a side; LeCun et al. 1998 put 28x28 into 32x32, that is 2
GZIP_MAGIC = b"\x1f\x8b"
STEMS = ("train-images", "train-labels", "t10k-images", "t10k-labels")


def open_mnist(data_dir: Path | None) -> Dataset:
    """Open ``mnist`` from a directory with its four IDX files, plain or gzip.

    Names are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
    ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, or with a dot before
    ``idx``; each may end in ``.gz``. Where a file lies there in several forms, the plain
    one is read. Validation is the last 5,000 training images.

    ``read`` puts the 28x28 images into the middle of a black frame where the requested
    height and width are 28 to 36 (at most 4 pixels a side; 32x32 as in LeCun et al. 1998),
    and resizes them bilinearly to anything else; three channels repeat the grey one.

    Raises:
        UserError: no such directory or file, or a file that is not what it should be;
            the message names it.
    """
    directory = _existing(data_dir)
    paths = {stem: _find(directory, stem) for stem in STEMS}
    files = {stem: _bytes_of(path) for stem, path in paths.items()}
    arrays = {stem: parse_idx(files[stem], paths[stem], _magic(stem)) for stem in STEMS}
    for part in ("train", "t10k"):
        images, labels = f"{part}-images", f"{part}-labels"
        _check_pair(arrays[images], paths[images], arrays[labels], paths[labels])
    count = len(arrays["train-images"])
    if count <= VALIDATION:
        raise UserError(
            f"{paths['train-images']} holds {count} images; more than {VALIDATION} are"
            f" needed, because the last {VALIDATION} are the validation split"
        )

    def read(shape: ImageShape) -> Splits:
        check_shape(shape)
        train = _shaped(arrays["train-images"], shape)
        test = _shaped(arrays["t10k-images"], shape)
        train_labels = arrays["train-labels"].astype(np.int32)
        cut = count - VALIDATION
        return Splits(
            train=Split(train[:cut], train_labels[:cut]),
            validation=Split(train[cut:], train_labels[cut:]),
            test=Split(test, arrays["t10k-labels"].astype(np.int32)),
        )

    return Dataset(
        name="mnist",
        label="MNIST",
        classes=tuple("0123456789"),
        channels=1,
        fingerprint=fingerprint(files.items()),
        read=read,
    )


def parse_idx(content: bytes, path: Path, magic: int) -> np.ndarray:
    """Return the array of an unpacked IDX file of unsigned bytes, uint8, read-only.

    Args:
        content: the file, unpacked.
        path: where it came from, for messages.
        magic: the expected magic number, 2051 (images) or 2049 (labels).

    Raises:
        UserError: another magic number, or more or fewer bytes than the header promises.
    """
    dimensions = magic & 0xFF
    header = 4 * (1 + dimensions)
    if len(content) < header:
        raise UserError(
            f"{path} is truncated: {len(content)} bytes, the IDX header alone has {header}"
        )
    found, *shape = struct.unpack(f">{1 + dimensions}I", content[:header])
    if found != magic:
        raise UserError(
            f"{path}: wrong magic number {found}, expected {magic}"
            f" (IDX, unsigned bytes, {dimensions} dimensions)"
        )
    expected = header + prod(shape)
    if len(content) != expected:
        state = "is truncated" if len(content) < expected else "has trailing bytes"
        raise UserError(
            f"{path} {state}: {len(content)} bytes unpacked, expected {expected}"
            f" by its header ({' x '.join(map(str, shape))})"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _existing(data_dir: Path | None) -> Path:
    expected = "expected a directory with the four IDX files of MNIST"
    if data_dir is None:
        raise UserError(f"mnist needs --data-dir; {expected}")
    if not data_dir.exists():
        raise UserError(f"--data-dir {data_dir} does not exist; {expected}")
    if not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is not a directory; {expected}")
    if not any(data_dir.iterdir()):
        raise UserError(f"--data-dir {data_dir} is empty; {expected}")
    return data_dir


def _magic(stem: str) -> int:
    return IMAGES if stem.endswith("images") else LABELS


def _find(directory: Path, stem: str) -> Path:
    kind = "idx3" if stem.endswith("images") else "idx1"
    names = [
        f"{stem}{separator}{kind}-ubyte{suffix}"
        for suffix in ("", ".gz")
        for separator in "-."
    ]
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise UserError(f"{directory} has no {stem} file; looked for {', '.join(names)}")


def _bytes_of(path: Path) -> bytes:
    """Return the unpacked content; gzip is known by its first bytes, not by the name."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(
            f"{path} is truncated or damaged, expected a whole gzip file: {error}"
        ) from None


def _check_pair(
    images: np.ndarray, images_path: Path, labels: np.ndarray, labels_path: Path
) -> None:
    if images.shape[1:] != (SIDE, SIDE):
        raise UserError(
            f"{images_path} holds images of {images.shape[1]}x{images.shape[2]} pixels,"
            f" expected {SIDE}x{SIDE}"
        )
    if len(images) != len(labels):
        raise UserError(
            f"{images_path} holds {len(images)} images, but {labels_path} holds"
            f" {len(labels)} labels; expected as many labels as images"
        )
    if len(images) == 0:
        raise UserError(f"{images_path} holds no images, expected at least one")
    wrong = np.flatnonzero(labels > 9)
    if len(wrong):
        raise UserError(
            f"{labels_path}: label {labels[wrong[0]]} at index {wrong[0]}, allowed 0 to 9"
        )


def _shaped(images: np.ndarray, shape: ImageShape) -> np.ndarray:
    height, width, channels = shape
    padded = range(SIDE, SIDE + 2 * MAX_PADDING + 1)
    fit = pad_grey if height in padded and width in padded else resize_grey
    return with_channels(fit(images, height, width), channels)
