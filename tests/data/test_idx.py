import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data.idx import FASHION, MNIST_BEGINS, open_fashion_mnist, open_mnist
from cnn_jax.errors import UserError

MNIST = Path(__file__).parents[2] / "../shared/data/mnist"
TRAIN, TEST = 5010, 7
TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array):
    magic = 0x800 + array.ndim
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


@pytest.fixture(scope="module")
def files():
    rng = np.random.default_rng(0)
    return {
        TRAIN_IMAGES: idx(rng.integers(0, 256, (TRAIN, 28, 28), np.uint8)),
        TRAIN_LABELS: idx((np.arange(TRAIN) % 10).astype(np.uint8)),
        "t10k-images-idx3-ubyte": idx(rng.integers(0, 256, (TEST, 28, 28), np.uint8)),
        "t10k-labels-idx1-ubyte": idx(np.arange(TEST, dtype=np.uint8)),
    }


@pytest.fixture
def folder(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_the_last_5000_training_images_are_the_validation_split(folder, files):
    dataset = open_mnist(folder)
    splits = dataset.read((28, 28, 1))
    assert [len(s.labels) for s in splits] == [10, 5000, 7]
    train = np.frombuffer(files[TRAIN_IMAGES][16:], np.uint8).reshape(-1, 28, 28, 1)
    assert (splits.train.images == train[:10]).all()
    assert (splits.validation.images == train[10:]).all()
    assert splits.train.labels.tolist() == list(range(10))
    assert splits.validation.labels[:3].tolist() == [0, 1, 2]
    assert splits.test.labels.dtype == np.int32
    assert dataset.label == "MNIST"


def test_gzip_plain_and_dotted_names_are_one_dataset(folder, files, tmp_path):
    wanted = open_mnist(folder).fingerprint
    packed, dotted = tmp_path / "packed", tmp_path / "dotted"
    packed.mkdir()
    dotted.mkdir()
    for name, content in files.items():
        packed_content = gzip.compress(content, 1)
        (packed / f"{name}.gz").write_bytes(packed_content)
        (dotted / name.replace("-idx", ".idx")).write_bytes(content)
    assert open_mnist(packed).fingerprint == wanted
    assert open_mnist(dotted).fingerprint == wanted
    # A file that a browser unpacked keeps its name: the content counts.
    (packed / f"{TRAIN_LABELS}.gz").write_bytes(files[TRAIN_LABELS])
    assert open_mnist(packed).fingerprint == wanted
    changed = bytearray(files[TRAIN_IMAGES])
    changed[5000] ^= 1
    (folder / TRAIN_IMAGES).write_bytes(changed)
    assert open_mnist(folder).fingerprint != wanted


def test_images_are_padded_up_to_4_pixels_a_side_and_resized_beyond(folder):
    dataset = open_mnist(folder)
    plain = dataset.read((28, 28, 1)).test.images
    padded = dataset.read((32, 36, 3)).test.images
    assert padded.shape == (7, 32, 36, 3)
    assert (padded[:, 2:30, 4:32] == plain).all()
    assert int(padded.sum(dtype=np.int64)) == 3 * int(plain.sum(dtype=np.int64))
    odd = dataset.read((29, 28, 1)).test.images
    assert (odd[:, :28] == plain).all()  # the odd row goes below
    large = dataset.read((56, 56, 1)).test.images
    assert large[:, 20:].max() > 0
    assert (large[:, 0, 0] == plain[:, 0, 0]).all()  # a frame would be black
    assert dataset.read((14, 14, 1)).test.images.shape == (7, 14, 14, 1)


def test_a_missing_file_is_named_with_the_names_looked_for(folder):
    (folder / TRAIN_LABELS).unlink()
    with pytest.raises(UserError) as caught:
        open_mnist(folder)
    message = str(caught.value)
    for name in (TRAIN_LABELS, "train-labels.idx1-ubyte", f"{TRAIN_LABELS}.gz"):
        assert name in message
    assert str(folder) in message


def test_a_data_dir_that_is_a_file_is_refused(folder):
    with pytest.raises(UserError, match="is not a directory"):
        open_mnist(folder / TRAIN_LABELS)


def damaged(folder, name, content, *, old=None):
    """Put a damaged file in place of one, and return the one line that says so."""
    if old is not None:
        (folder / old).unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        open_mnist(folder)
    message = str(caught.value)
    assert str(folder / name) in message
    assert "\n" not in message
    return message


def test_a_truncated_file_is_named(folder, files):
    whole = len(files[TRAIN_IMAGES])
    message = damaged(folder, TRAIN_IMAGES, files[TRAIN_IMAGES][:-1])
    assert f"is truncated: {whole - 1} bytes unpacked, expected {whole}" in message
    assert "5010 x 28 x 28" in message
    message = damaged(folder, TRAIN_IMAGES, files[TRAIN_IMAGES][:10])
    assert "the IDX header alone has 16" in message
    assert "is truncated: 0 bytes" in damaged(folder, TRAIN_IMAGES, b"")


def test_trailing_bytes_are_named(folder, files):
    message = damaged(folder, TRAIN_LABELS, files[TRAIN_LABELS] + b"\0\0")
    assert "has trailing bytes: 5020 bytes unpacked, expected 5018" in message


def test_a_truncated_or_damaged_gzip_file_is_named(folder, files):
    packed = gzip.compress(files[TRAIN_LABELS])
    name = f"{TRAIN_LABELS}.gz"
    message = damaged(folder, name, packed[:-20], old=TRAIN_LABELS)
    assert "truncated or damaged, expected a whole gzip file" in message
    flipped = bytearray(packed)
    flipped[-6] ^= 0xFF  # in the check sum
    assert "truncated or damaged" in damaged(folder, name, flipped)
    flipped = bytearray(packed)
    flipped[12:20] = b"\xff" * 8
    assert "truncated or damaged" in damaged(folder, name, flipped)


def test_a_wrong_magic_number_is_named_with_the_expected_one(folder, files):
    message = damaged(folder, TRAIN_IMAGES, files[TRAIN_LABELS])
    assert "wrong magic number 2049, expected 2051" in message
    (folder / TRAIN_IMAGES).write_bytes(files[TRAIN_IMAGES])
    message = damaged(folder, TRAIN_LABELS, b"<html>not found</html>")
    assert "expected 2049" in message


def test_images_of_another_size_are_refused(folder):
    message = damaged(folder, TRAIN_IMAGES, idx(np.zeros((TRAIN, 27, 28), np.uint8)))
    assert "27x28 pixels, expected 28x28" in message


def test_counts_that_differ_are_named(folder):
    message = damaged(folder, TRAIN_LABELS, idx(np.zeros(TRAIN - 1, np.uint8)))
    assert "5010 images" in message
    assert "5009 labels" in message


def test_a_label_outside_of_the_digits_is_named(folder):
    labels = np.zeros(TRAIN, np.uint8)
    labels[4321] = 10
    message = damaged(folder, TRAIN_LABELS, idx(labels))
    assert "label 10 at index 4321, allowed 0 to 9" in message


def test_too_few_training_images_for_a_validation_split_are_refused(folder):
    (folder / TRAIN_LABELS).write_bytes(idx(np.zeros(5000, np.uint8)))
    message = damaged(folder, TRAIN_IMAGES, idx(np.zeros((5000, 28, 28), np.uint8)))
    assert "holds 5000 images; more than 5000 are needed" in message


def test_an_empty_test_file_is_refused(folder):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(0, np.uint8)))
    empty = idx(np.zeros((0, 28, 28), np.uint8))
    assert "holds no images" in damaged(folder, "t10k-images-idx3-ubyte", empty)


def test_fashion_mnist_lies_in_the_same_files_and_is_not_mnist(folder, files):
    fashion, mnist = open_fashion_mnist(folder), open_mnist(folder)
    assert (fashion.name, fashion.label) == ("fashion_mnist", "Fashion-MNIST")
    assert fashion.classes == FASHION
    assert FASHION[9] == "Ankle boot"
    assert len(set(FASHION)) == 10
    for a, b in zip(fashion.read((32, 32, 1)), mnist.read((32, 32, 1)), strict=True):
        assert (a.images == b.images).all()
    labels = bytearray(files[TRAIN_LABELS])
    labels[8 : 8 + len(MNIST_BEGINS)] = bytes(MNIST_BEGINS)
    (folder / TRAIN_LABELS).write_bytes(labels)
    with pytest.raises(UserError, match="holds MNIST, expected Fashion-MNIST"):
        open_fashion_mnist(folder)


@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist")
def test_the_real_mnist_has_its_sizes_and_first_labels():
    splits = open_mnist(MNIST).read((28, 28, 1))
    assert [len(s.labels) for s in splits] == [55_000, 5_000, 10_000]
    assert tuple(splits.train.labels[: len(MNIST_BEGINS)]) == MNIST_BEGINS
    assert splits.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # The known MD5 of the unpacked test images, header included.
    header = struct.pack(">4I", 2051, 10_000, 28, 28)
    digest = hashlib.md5(header + splits.test.images.tobytes(), usedforsecurity=False)
    assert digest.hexdigest() == "2646ac647ad5339dbf082846283269ea"
    joined = np.concatenate([splits.train.images, splits.validation.images])
    header = struct.pack(">4I", 2051, 60_000, 28, 28)
    digest = hashlib.md5(header + joined.tobytes(), usedforsecurity=False)
    assert digest.hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
