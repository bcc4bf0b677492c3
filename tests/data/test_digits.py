import numpy as np
import pytest

from cnn_jax.data.digits import open_digits
from cnn_jax.errors import UserError

# Of the images and labels in the order of the split.
FINGERPRINT = "289f2ed8aa4075d9422dece4ed52394693832bf62ca4e175ed38b95b2224aa15"
FIRST_LABELS = [1, 6, 1, 8, 9, 7, 3, 7, 6, 4]


def test_the_split_is_disjoint_exhaustive_and_keeps_images_with_their_labels():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    splits = open_digits().read((8, 8, 1))
    assert [len(s.images) for s in splits] == [1000, 297, 500]
    assert [len(s.labels) for s in splits] == [1000, 297, 500]
    got = sorted(
        (image.tobytes(), int(label))
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )
    wanted = sorted(
        (bytes(round(v * 255 / 16) for v in image.ravel()), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    )
    assert got == wanted  # 1,797 images, each once


def test_the_split_never_changes_and_every_class_is_in_each_part():
    splits = open_digits().read((8, 8, 1))
    for split in splits:
        assert np.bincount(split.labels, minlength=10).min() >= 15
        assert split.labels.dtype == np.int32
    # Published results depend on this split: a change must be noticed.
    assert open_digits().fingerprint == FINGERPRINT
    assert splits.train.labels[:10].tolist() == FIRST_LABELS


def test_images_fill_the_range_and_are_enlarged_smoothly():
    dataset = open_digits()
    small, large = (dataset.read((s, s, 1)).test.images[:50] for s in (8, 32))
    assert small.max() == 255
    assert small.min() == 0
    assert large.shape == (50, 32, 32, 1)
    # Enlarged by 4 the picture is blurred but kept: block means are near the pixels.
    means = large.reshape(50, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.corrcoef(means.ravel(), small.ravel())[0, 1] > 0.97
    # A step between neighbours is at most a quarter of one between the small pixels.
    assert np.abs(np.diff(large.astype(int), axis=1)).max() <= 255 / 4 + 1


def test_three_channels_repeat_the_grey_one_and_other_shapes_are_refused():
    dataset = open_digits()
    colour = dataset.read((12, 10, 3)).validation.images
    assert colour.shape == (297, 12, 10, 3)
    assert (colour == dataset.read((12, 10, 1)).validation.images).all()
    assert dataset.channels == 1
    with pytest.raises(UserError, match="32x32x4 can't be made"):
        dataset.read((32, 32, 4))


def test_the_label_says_that_images_were_enlarged():
    assert open_digits().label == "digits (scikit-learn, 8x8 upscaled)"
