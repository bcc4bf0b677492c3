import numpy as np
import pytest

from cnn_jax.data.image_folder import CIFAR10_CLASSES, open_cifar10, open_image_folder
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
