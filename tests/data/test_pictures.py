import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data.cifar import open_cifar10
from cnn_jax.data.image_folder import CIFAR10_CLASSES, open_image_folder
from cnn_jax.errors import UserError
from tests.data.image_trees import image_bytes, make_tree


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "pets")


def test_pictures_are_the_images_of_each_split_one_by_one(tree):
    dataset = open_image_folder(tree)
    splits = dataset.read((20, 24, 3))
    names = []
    for name, split in zip(splits._fields, splits, strict=True):
        found = dataset.pictures(name, 3, (20, 24))
        images = [found.decode(i) for i in range(len(found.labels))]
        np.testing.assert_array_equal(images, split.images)
        np.testing.assert_array_equal(found.labels, split.labels)
        names += found.names
    folders = {"train": 12, "test": 3}
    assert sorted(names) == sorted(
        f"{folder}/{kind}/{i}.png"
        for folder, count in folders.items()
        for kind in ("cat", "dog")
        for i in range(count)
    )


def test_pictures_keep_their_own_size_unless_another_is_asked_for(tree):
    (tree / "test" / "cat" / "0.png").write_bytes(image_bytes(9, side=50))
    found = open_image_folder(tree).pictures("test", 3, None)
    assert [found.decode(i).shape for i in (0, 1)] == [(50, 50, 3), (32, 32, 3)]
    assert open_image_folder(tree).pictures("test", 1, None).decode(0).shape == (50, 50, 1)


def test_pictures_of_another_size_are_no_cifar10(tmp_path):
    tree = make_tree(tmp_path / "cifar", CIFAR10_CLASSES, counts={"train": 2, "test": 1})
    found = open_cifar10(tree).pictures("test", 3, None)
    assert found.decode(0).shape == (32, 32, 3)
    (tree / "test" / "cat" / "0.png").write_bytes(image_bytes(9, side=33))
    found = open_cifar10(tree).pictures("test", 3, None)
    with pytest.raises(UserError, match=r"cat/0\.png has 33x33 pixels, expected 32x32"):
        found.decode(CIFAR10_CLASSES.index("cat"))


def test_what_decodes_can_be_sent_to_another_process(tree, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "a"), "gztar", tree)
    plain = shutil.make_archive(str(tmp_path / "a"), "tar", tree)
    wanted = open_image_folder(tree).pictures("train", 3, (20, 20))
    for place in (tree, Path(packed), Path(plain)):
        found = open_image_folder(place).pictures("train", 3, (20, 20))
        assert found.names == wanted.names
        again = pickle.loads(pickle.dumps(found.decode))
        for position in range(len(found.labels)):
            assert (again(position) == wanted.decode(position)).all()


def test_a_file_that_is_gone_since_it_was_opened_is_named(tree):
    found = open_image_folder(tree).pictures("test", 3, None)
    (tree / "test" / "cat" / "0.png").unlink()
    with pytest.raises(UserError, match=r"test/cat/0\.png can't be read: No such file"):
        found.decode(0)


@pytest.mark.parametrize("folder", ["validation", "val"])
def test_a_validation_folder_is_the_validation_split(tree, folder):
    shutil.copytree(tree / "test", tree / folder)
    dataset = open_image_folder(tree)
    assert len(dataset.pictures("train", 3, None).labels) == 24
    found = dataset.pictures("validation", 3, None)
    assert found.names == tuple(
        f"{folder}/{c}/{i}.png" for c in ("cat", "dog") for i in range(3)
    )
    splits = dataset.read((32, 32, 3))
    assert (splits.validation.images == splits.test.images).all()
    shutil.rmtree(tree / folder / "dog")
    with pytest.raises(UserError, match="without a counterpart: train/dog"):
        open_image_folder(tree)


def test_without_a_test_folder_validation_is_the_test_split(tree):
    (tree / "test").rename(tree / "val")
    dataset = open_image_folder(tree)
    assert dataset.pictures("test", 3, None).names[0] == "val/cat/0.png"
    counts = [len(split.labels) for split in dataset.read((32, 32, 3))]
    assert counts[2] == 6
    assert counts[0] + counts[1] == 24
    assert counts[1] >= 1
    (tree / "validation" / "cat").mkdir(parents=True)
    (tree / "validation" / "cat" / "0.png").write_bytes(image_bytes(1))
    with pytest.raises(UserError, match="has both validation/ and val/"):
        open_image_folder(tree)


def test_the_fingerprint_of_much_is_of_names_and_sizes(tree, monkeypatch):
    whole = open_image_folder(tree)
    assert whole.fingerprint_rule == "names and content of all files"
    monkeypatch.setattr("cnn_jax.data.fingerprint.WHOLE", 1000)
    large = open_image_folder(tree)
    assert large.fingerprint != whole.fingerprint
    assert "sizes of all files" in large.fingerprint_rule
    (tree / "test" / "cat" / "0.png").write_bytes(image_bytes(9, side=50))
    assert open_image_folder(tree).fingerprint != large.fingerprint


def test_what_memory_can_not_hold_is_refused_before_it_is_decoded(tree):
    with pytest.raises(UserError, match=r"30 images of .* GiB; they can only be streamed"):
        open_image_folder(tree).read((10**6, 10**6, 3))
