import os
import pickle

import numpy as np
import pytest

from cnn_jax.data.batch_pickle import UnreadableError, load_batch
from cnn_jax.data.cifar import find_cifar100, open_cifar10, open_cifar100
from cnn_jax.data.image_folder import CIFAR10_CLASSES, open_image_folder
from cnn_jax.errors import UserError
from tests.data.image_trees import make_tree
from tests.data.original_files import (
    CIFAR100_NAMES,
    cifar_rows,
    pack_gz,
    python2_pickle,
    write_cifar10,
    write_cifar100,
)


@pytest.fixture
def binary(tmp_path):
    return write_cifar10(tmp_path / "cifar-10-batches-bin", kind="binary")


@pytest.fixture
def python(tmp_path):
    return write_cifar10(tmp_path / "py" / "cifar-10-batches-py", kind="python")


def message_of(data_dir, open_dataset=open_cifar10):
    with pytest.raises(UserError) as caught:
        open_dataset(data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_example_is_three_planes_and_the_last_tenth_is_for_validation(binary):
    dataset = open_cifar10(binary)
    splits = dataset.read((32, 32, 3))
    assert [len(s.labels) for s in splits] == [18, 2, 4]
    assert dataset.classes == CIFAR10_CLASSES
    assert dataset.label == "CIFAR-10"
    rows, _ = cifar_rows(4, seed=1)  # the second batch
    for channel in range(3):
        for y, x in ((0, 0), (0, 31), (5, 7), (31, 31)):
            value = rows[2, 1024 * channel + 32 * y + x]
            assert splits.train.images[6, y, x, channel] == value
    assert splits.train.labels.tolist()[:6] == [0, 1, 2, 3, 0, 1]
    assert splits.validation.labels.tolist() == [2, 3]  # the last of the fifth batch
    assert splits.test.labels.dtype == np.int32


def test_binary_python_and_their_archives_are_one_dataset(binary, python, tmp_path):
    wanted = open_cifar10(binary)
    splits = wanted.read((32, 32, 3))
    (tmp_path / "dir").mkdir()
    places = [
        binary.parent,  # a directory with the folder in it
        python,
        python.parent,
        pack_gz(binary, tmp_path / "dir" / "cifar-10-binary.tar.gz"),
        pack_gz(python, tmp_path / "cifar-10-python.tar.gz"),
        tmp_path / "dir",
    ]
    for place in places:
        other = open_cifar10(place)
        assert other.fingerprint == wanted.fingerprint, place
        assert other.classes == wanted.classes
        for a, b in zip(splits, other.read((32, 32, 3)), strict=True):
            assert (a.images == b.images).all()
            assert (a.labels == b.labels).all()
    pack_gz(python, tmp_path / "dir" / "second.tar.gz")
    assert "several to choose from" in message_of(tmp_path / "dir")


def test_arrays_are_resized_as_files_of_the_same_pixels(binary, tmp_path):
    from PIL import Image

    images = open_cifar10(binary).read((32, 32, 3)).test.images
    tree = make_tree(tmp_path / "tree", ("a",), counts={"train": 2, "test": 0})
    for number, image in enumerate(images):
        Image.fromarray(image).save(tree / "test" / "a" / f"{number}.png")
    for shape in ((32, 32, 1), (20, 24, 3), (48, 48, 1)):
        wanted = open_image_folder(tree).read(shape).test.images
        assert (open_cifar10(binary).read(shape).test.images == wanted).all()


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_cifar100_has_fine_labels_and_keeps_the_coarse_ones(tmp_path, kind):
    folder = write_cifar100(tmp_path / f"cifar-100-{kind}", kind=kind)
    dataset = open_cifar100(pack_gz(folder, tmp_path / "a.tar.gz"))
    assert dataset.classes == tuple(CIFAR100_NAMES[0])
    splits = dataset.read((32, 32, 3))
    assert [len(s.labels) for s in splits] == [11, 1, 4]
    assert splits.train.labels.tolist() == [7 * i % 100 for i in range(11)]
    rows, _ = cifar_rows(4, seed=1)
    assert (splits.test.images.transpose(0, 3, 1, 2).reshape(4, -1) == rows).all()
    collection = find_cifar100(folder)
    assert collection.parts["test"].coarse_labels.tolist() == [0, 1, 2, 3]
    assert collection.coarse_classes == tuple(CIFAR100_NAMES[1])
    assert collection.fingerprint == dataset.fingerprint


def test_the_two_datasets_are_not_taken_for_each_other(tmp_path, binary):
    folder = write_cifar100(tmp_path / "c" / "cifar-100-binary", kind="binary")
    assert "holds no tree of images; expected a directory with train/" in message_of(folder)
    message = message_of(binary, open_cifar100)
    assert "has none of CIFAR-100; expected cifar-100-binary.tar.gz" in message
    (folder / "fine_label_names.txt").write_text("only\none\n")
    message = message_of(folder, open_cifar100)
    assert "has the names of 2 classes and 20 coarse ones, expected 100 and 20" in message


def test_a_damaged_or_missing_batch_is_named(binary, python):
    whole = (binary / "data_batch_2.bin").read_bytes()
    (binary / "data_batch_2.bin").write_bytes(whole[:-1])
    message = message_of(binary)
    assert (
        f"{binary}/data_batch_2.bin has 12291 bytes, expected a multiple of 3073" in message
    )
    (binary / "data_batch_2.bin").write_bytes(b"\x0a" + whole[1:])
    assert "train: label 10 at index 4, allowed are 0 to 9" in message_of(binary)
    (binary / "data_batch_2.bin").unlink()
    assert "data_batch_2.bin is missing; expected cifar-10-binary" in message_of(binary)
    whole = (python / "test_batch").read_bytes()
    (python / "test_batch").write_bytes(whole[:2000])
    assert "test_batch can't be read: its pickle is truncated" in message_of(python)
    (python / "test_batch").write_bytes(python2_pickle({b"labels": [1]}))
    assert "has no array 'data' of 3072 columns" in message_of(python)
    rows = np.zeros((2, 3072), np.uint8)
    (python / "test_batch").write_bytes(python2_pickle({b"data": rows, b"labels": [1]}))
    assert "has 2 images, but 1 labels" in message_of(python)
    (python / "batches.meta").write_bytes(python2_pickle({b"label_names": [b"a"]}))
    assert "test_batch" in message_of(python)


class Attack:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_a_pickle_that_would_run_something_is_refused(python, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in (0, 2, 4):
        evil = pickle.dumps({"data": Attack()}, protocol=protocol)
        (python / "test_batch").write_bytes(evil)
        message = message_of(python)
        assert "nothing was executed" in message
        assert not (tmp_path / "executed").exists()
    state = b"\x80\x02cnumpy\nndarray\n}U\x01aK\x01sb."  # attributes for what is imported
    with pytest.raises(UnreadableError):
        load_batch(state)
    assert not hasattr(np.ndarray, "a")


def test_what_python_3_pickled_anew_is_read_too():
    wanted = {b"labels": [1, 300, -5], b"data": np.arange(6, dtype=np.uint8).reshape(2, 3)}
    found = load_batch(pickle.dumps(wanted, protocol=2))
    assert found[b"labels"] == [1, 300, -5]
    assert found[b"data"].tolist() == [[0, 1, 2], [3, 4, 5]]
    turned = wanted | {b"data": np.asfortranarray(wanted[b"data"])}
    found = load_batch(pickle.dumps(turned, protocol=2))
    assert found[b"data"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(UnreadableError, match="not uint8"):
        load_batch(pickle.dumps({b"data": np.zeros(3, np.int64)}, protocol=2))
    with pytest.raises(UnreadableError, match="not uint8"):
        load_batch(pickle.dumps({b"data": np.array([[], 3], object)}, protocol=2))


def test_no_damage_does_more_than_to_be_refused():
    rows = np.arange(12, dtype=np.uint8).reshape(3, 4)
    whole = python2_pickle({b"labels": [1, 2, 300], b"data": rows, b"n": b"x" * 300})
    assert load_batch(whole)[b"data"].tolist() == rows.tolist()
    draw = np.random.default_rng(0)
    for cut in range(0, len(whole), 3):
        with pytest.raises(UnreadableError):
            load_batch(whole[:cut])
    for _ in range(500):
        changed = bytearray(whole)
        for at in draw.integers(0, len(whole), 2):
            changed[at] = draw.integers(0, 256)
        try:
            found = load_batch(bytes(changed))
        except UnreadableError:
            continue
        assert isinstance(
            found, dict | list | tuple | bytes | str | int | None | np.ndarray
        )
