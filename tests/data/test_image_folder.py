import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data.cifar import open_cifar10
from cnn_jax.data.image_folder import (
    CIFAR10_CLASSES,
    open_image_folder,
    validation_by_name,
)
from cnn_jax.errors import UserError
from tests.data.image_trees import image_bytes, make_tree

CIFAR = Path(__file__).parents[2] / "../shared/data/cifar10-jpeg75.tar.xz"


def pack(root, path, mode, top=None):
    with tarfile.open(path, mode) as tar:
        for split in ("test", "train"):  # not in the order in which they are read
            tar.add(root / split, f"{top}/{split}" if top else split)
    return path


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "pets")


def message_of(data_dir, open_dataset=open_image_folder):
    with pytest.raises(UserError) as caught:
        open_dataset(data_dir).read((32, 32, 3))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_splits_are_disjoint_and_exhaustive_and_labels_fit_images(tree):
    dataset = open_image_folder(tree)
    assert dataset.classes == ("cat", "dog")
    assert dataset.label == "image-folder pets"
    assert dataset.channels == 3
    splits = dataset.read((32, 32, 3))
    train, validation, test = ([int(x) for x in s.images[:, 0, 0, 0]] for s in splits)
    assert sorted(train + validation) == list(range(100, 124))
    assert test == [0, 1, 2, 12, 13, 14]
    assert splits.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert splits.test.labels.dtype == np.int32
    assert len(validation) >= 1


def test_validation_is_the_tenth_with_the_smallest_hash_of_the_name():
    names = [f"c{i % 7}/{i}.png" for i in range(3000)]
    chosen = validation_by_name(names)
    for name, held_out in zip(names, chosen, strict=True):
        digest = hashlib.sha256(name.encode()).hexdigest()
        assert held_out == (int(digest[:16], 16) / 2**64 < 0.1)
    assert abs(chosen.mean() - 0.1) < 5 * np.sqrt(0.09 / 3000)  # five standard errors
    # The choice goes with the names, not with the order.
    assert (validation_by_name(names[::-1]) == chosen[::-1]).all()


def test_a_stated_number_for_validation_is_met_exactly():
    names = [f"c/{i}.png" for i in range(500)]
    few, many = validation_by_name(names, 40), validation_by_name(names, 90)
    assert few.sum() == 40
    assert many.sum() == 90
    assert (many | ~few).all()
    assert validation_by_name(names[:2]).sum() == 1  # at least one


def test_a_folder_and_all_its_archives_are_one_dataset(tree, tmp_path):
    wanted = open_image_folder(tree)
    (tmp_path / "holder").mkdir()
    shutil.copytree(tree, tmp_path / "holder" / "pets")
    places = [
        pack(tree, tmp_path / "a.tar", "w"),
        pack(tree, tmp_path / "a.tar.gz", "w:gz"),
        pack(tree, tmp_path / "a.tgz", "w:gz", top="a"),
        pack(tree, tmp_path / "a.tar.xz", "w:xz"),
        pack(tree, tmp_path / "named_wrongly.zip", "w:xz", top="./some"),
        tmp_path / "holder",
    ]
    images = wanted.read((32, 32, 3))
    for place in places:
        other = open_image_folder(place)
        assert other.fingerprint == wanted.fingerprint, place
        for a, b in zip(images, other.read((32, 32, 3)), strict=True):
            assert (a.images == b.images).all()
            assert (a.labels == b.labels).all()
    assert open_image_folder(tmp_path / "a.tar.xz").label == "image-folder a"
    assert open_image_folder(tmp_path / "a.tgz").label == "image-folder a"


def test_a_directory_with_one_archive_stands_for_it(tree, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    (place / "README.md").write_text("about")
    pack(tree, place / "pets.tar.gz", "w:gz")
    assert open_image_folder(place).fingerprint == open_image_folder(tree).fingerprint
    pack(tree, place / "second.tar", "w")
    assert "several to choose from (pets.tar.gz, second.tar)" in message_of(place)


def test_the_fingerprint_depends_on_names_and_content(tree):
    before = open_image_folder(tree).fingerprint
    (tree / "train" / "cat" / "0.png").rename(tree / "train" / "cat" / "00.png")
    renamed = open_image_folder(tree).fingerprint
    (tree / "train" / "cat" / "00.png").write_bytes(image_bytes(99))
    assert len({before, renamed, open_image_folder(tree).fingerprint}) == 3


def test_hidden_files_and_what_lies_beside_are_ignored(tree):
    wanted = open_image_folder(tree).fingerprint
    (tree / "README.txt").write_text("about")
    (tree / "labels").mkdir()
    for place in (tree, tree / "train", tree / "train" / "cat"):
        (place / ".DS_Store").write_bytes(b"x")
    (tree / "train" / ".cache").mkdir()
    assert open_image_folder(tree).fingerprint == wanted
    packed = pack(tree, tree.parent / "hidden.tar", "w")
    assert open_image_folder(packed).fingerprint == wanted


def test_opening_does_not_decode_and_reading_names_the_bad_file(tree, tmp_path):
    bad = tree / "test" / "dog" / "1.png"
    bad.write_bytes(b"no image")
    open_image_folder(tree)
    assert f"{bad} can't be decoded" in message_of(tree)
    packed = pack(tree, tmp_path / "a.tar.gz", "w:gz", top="pets")
    assert f"{packed}!pets/test/dog/1.png can't be decoded" in message_of(packed)
    packed = pack(tree, tmp_path / "b.tar", "w")
    assert f"{packed}!test/dog/1.png can't be decoded" in message_of(packed)


def test_a_file_with_another_suffix_is_an_error(tree):
    (tree / "train" / "cat" / "notes.txt").write_text("about cats")
    assert "train/cat/notes.txt can't be decoded" in message_of(tree)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_split_is_named(tree, tmp_path, split):
    shutil.rmtree(tree / split)
    assert f"pets/{split} is missing or empty; expected" in message_of(tree)
    (tree / split).mkdir()
    assert f"pets/{split} is missing or empty; expected" in message_of(tree)
    packed = pack(tree, tmp_path / "a.tar", "w")
    assert f"a.tar!{split} is missing or empty; expected" in message_of(packed)


def test_a_place_without_a_tree_is_named(tree, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file.txt").write_text("x")
    assert "other holds no tree of images; expected a directory with train/" in message_of(
        tmp_path / "other"
    )
    message = message_of(tmp_path / "other" / "file.txt")
    assert "file.txt is truncated or damaged, or no tar archive" in message
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tree / "train" / "cat", "cat")
    assert "a.tar has no train/ and test/" in message_of(tmp_path / "a.tar")


def test_classes_must_be_the_same_in_both_splits(tree):
    shutil.move(tree / "test" / "dog", tree / "test" / "wolf")
    message = message_of(tree)
    assert "without a counterpart: train/dog, test/wolf" in message


def test_an_empty_class_folder_is_named(tree, tmp_path):
    (tree / "train" / "bird").mkdir()
    assert "train/bird is empty, expected images" in message_of(tree)
    assert "a.tar!train/bird is empty" in message_of(pack(tree, tmp_path / "a.tar", "w"))


def test_files_and_folders_out_of_place_are_named(tree, tmp_path):
    stray = tree / "train" / "stray.png"
    stray.write_bytes(image_bytes(0))
    assert f"{stray} lies outside of a class folder" in message_of(tree)
    assert "lies outside" in message_of(pack(tree, tmp_path / "a.tar", "w"))
    stray.unlink()
    (tree / "train" / "cat" / "deep").mkdir()
    (tree / "train" / "cat" / "deep" / "x.png").write_bytes(image_bytes(0))
    assert "train/cat/deep is a folder inside a class folder" in message_of(tree)
    packed = pack(tree, tmp_path / "b.tar", "w")
    assert "train/cat/deep is a folder inside a class folder" in message_of(packed)


def test_a_link_or_an_escaping_name_in_an_archive_refuses_it(tree, tmp_path):
    (tree / "train" / "cat" / "link.png").symlink_to("0.png")
    open_image_folder(tree)  # in a directory a link is the user's own
    packed = pack(tree, tmp_path / "a.tar", "w")
    assert "is refused because of the symbolic link" in message_of(packed)
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(tree / "test")
        tar.add(tree / "test" / "cat" / "0.png", "../escaped.png")
    assert "is refused because of" in message_of(tmp_path / "b.tar")
    assert not list(tmp_path.rglob("escaped.png"))


def test_one_training_image_is_too_few(tmp_path):
    tree = make_tree(tmp_path / "t", ("only",), counts={"train": 1, "test": 1})
    assert "holds 1 images, all of which fall into the validation" in message_of(tree)


def test_images_of_another_size_are_resized(tmp_path):
    tree = make_tree(tmp_path / "t", side=50)
    splits = open_image_folder(tree).read((20, 24, 1))
    assert splits.test.images.shape == (6, 20, 24, 1)


def cifar_tree(root, **options):
    return make_tree(root, CIFAR10_CLASSES, counts={"train": 3, "test": 1}, **options)


def test_cifar10_labels_say_how_the_images_were_encoded(tmp_path):
    png = open_cifar10(cifar_tree(tmp_path / "png"))
    assert png.label == "CIFAR-10"
    assert png.classes == CIFAR10_CLASSES
    for quality in (75, 90):
        tree = cifar_tree(
            tmp_path / str(quality), suffix="jpg", format="JPEG", quality=quality
        )
        assert open_cifar10(tree).label == f"CIFAR-10 (JPEG {quality})"
    odd = cifar_tree(tmp_path / "o", format="JPEG", qtables=[[3] * 64, [5] * 64])
    assert open_cifar10(odd).label == "CIFAR-10 (JPEG)"
    # One JPEG among lossless files is enough to say so.
    (tmp_path / "png" / "train" / "truck" / "2.png").write_bytes(
        image_bytes(5, format="JPEG", quality=75)
    )
    assert open_cifar10(tmp_path / "png").label == "CIFAR-10 (JPEG 75)"


def test_cifar10_demands_its_classes_and_its_size(tmp_path, tree):
    message = message_of(tree, open_cifar10)
    assert "has the classes cat, dog; expected those of CIFAR-10: airplane" in message
    large = cifar_tree(tmp_path / "large", side=33)
    message = message_of(large, open_cifar10)
    assert "train/airplane/0.png has 33x33 pixels, expected 32x32" in message


def test_cifar10_with_an_undecodable_first_file_is_named_when_opened(tmp_path):
    tree = cifar_tree(tmp_path / "c")
    bad = tree / "train" / "airplane" / "0.png"
    bad.write_bytes(b"bad")
    assert f"{bad} can't be decoded" in message_of(tree, open_cifar10)


def test_a_small_cifar10_gives_a_tenth_to_validation(tmp_path):
    splits = open_cifar10(cifar_tree(tmp_path / "c")).read((32, 32, 3))
    assert len(splits.train.labels) + len(splits.validation.labels) == 30
    assert 1 <= len(splits.validation.labels) < 15


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR.is_file(), reason="needs ../shared/data")
def test_the_real_cifar10_has_its_sizes_and_says_jpeg_75():
    dataset = open_cifar10(CIFAR)
    assert dataset.label == "CIFAR-10 (JPEG 75)"
    splits = dataset.read((32, 32, 3))
    assert [len(s.labels) for s in splits] == [45_000, 5_000, 10_000]
    joined = np.concatenate([splits.train.labels, splits.validation.labels])
    assert (np.bincount(joined) == 5000).all()
    assert (np.bincount(splits.test.labels) == 1000).all()
    # 10 % of each class, give or take: a hash does not know the classes.
    assert np.abs(np.bincount(splits.validation.labels) - 500).max() < 110  # 5 sigma
    # The known channel means of CIFAR-10's training set: 125.3, 123.0, 113.9 (of 255).
    pixels = np.concatenate([splits.train.images, splits.validation.images])
    means = pixels.mean(axis=(0, 1, 2))
    assert np.abs(means - (125.3, 123.0, 113.9)).max() < 0.5  # JPEG changes little
