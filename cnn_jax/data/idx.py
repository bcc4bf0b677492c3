"""MNIST and Fashion-MNIST in their IDX files.

Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", file
    format section: big-endian magic number (third byte 8 = unsigned byte, fourth byte =
    number of dimensions), the dimensions as 32-bit integers, then the bytes.
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for
    Benchmarking Machine Learning Algorithms", arXiv:1708.07747, Table 2: the same files,
    names and sizes for the ten classes of ``FASHION``.
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np

from cnn_jax.data.collection import Collection, Part, open_collection
from cnn_jax.data.data_dir import check_data_dir
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.fingerprint import fingerprint
from cnn_jax.data.pixels import MAX_PADDING as MAX_PADDING
from cnn_jax.errors import UserError

IMAGES, LABELS = 2051, 2049  # magic numbers: unsigned bytes in 3 and in 1 dimensions
SIDE = 28
VALIDATION = 5000
GZIP_MAGIC = b"\x1f\x8b"
STEMS = ("train-images", "train-labels", "t10k-images", "t10k-labels")
DIGITS = tuple("0123456789")
MNIST_BEGINS = (5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7, 2, 8, 6, 9)
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


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
    return open_collection(find_mnist(data_dir))


def open_fashion_mnist(data_dir: Path | None) -> Dataset:
    """Open ``fashion_mnist``: in all as ``open_mnist`` opens MNIST.

    Raises:
        UserError: as ``open_mnist`` does; or the files are those of MNIST.
    """
    return open_collection(find_fashion_mnist(data_dir))


def find_mnist(data_dir: Path | None) -> Collection:
    """Return the examples of ``mnist``; see ``open_mnist``."""
    return _collect(data_dir, "mnist", "MNIST", DIGITS)


def find_fashion_mnist(data_dir: Path | None) -> Collection:
    """Return the examples of ``fashion_mnist``; see ``open_fashion_mnist``."""
    found = _collect(data_dir, "fashion_mnist", "Fashion-MNIST", FASHION)
    # The two datasets have files of the same names, in folders that look alike.
    if tuple(found.parts["train"].labels[: len(MNIST_BEGINS)]) == MNIST_BEGINS:
        raise UserError(f"{data_dir} holds MNIST, expected Fashion-MNIST")
    return found


def _collect(
    data_dir: Path | None, name: str, title: str, classes: tuple[str, ...]
) -> Collection:
    expected = f"expected a directory with the four IDX files of {title}"
    directory = check_data_dir(data_dir, name, expected)
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
    return Collection(
        name=name,
        label=title,
        classes=classes,
        channels=1,
        fingerprint=fingerprint(files.items()),
        fingerprint_rule="names and content of the four files, unpacked",
        parts={
            part: Part(
                arrays[f"{stem}-images"][..., None],
                arrays[f"{stem}-labels"].astype(np.int32),
            )
            for part, stem in (("train", "train"), ("test", "t10k"))
        },
        held_out=np.arange(count) >= count - VALIDATION,
        grey=(SIDE, SIDE),
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
