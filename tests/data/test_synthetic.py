import numpy as np

from cnn_jax.data.synthetic import open_synthetic


def test_sizes_types_and_balance():
    splits = open_synthetic().read((16, 12, 3))
    assert [s.images.shape for s in splits] == [
        (512, 16, 12, 3),
        (128, 16, 12, 3),
        (128, 16, 12, 3),
    ]
    for split in splits:
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int32
        counts = np.bincount(split.labels, minlength=10)
        assert counts.max() - counts.min() <= 1


def test_the_images_are_a_function_of_the_shape():
    a, b = (open_synthetic().read((8, 8, 1)) for _ in range(2))
    for one, other in zip(a, b, strict=True):
        assert (one.images == other.images).all()
    assert open_synthetic().fingerprint == open_synthetic().fingerprint


def test_no_image_is_in_two_splits():
    splits = open_synthetic().read((8, 8, 1))
    images = [image.tobytes() for split in splits for image in split.images]
    assert len(set(images)) == 768


def test_the_nearest_class_mean_tells_the_classes_apart_in_any_shape():
    for shape in ((8, 8, 1), (5, 7, 3), (32, 32, 1)):
        splits = open_synthetic().read(shape)
        flat = splits.train.images.reshape(512, -1).astype(float)
        means = np.array([flat[splits.train.labels == c].mean(0) for c in range(10)])
        test = splits.test.images.reshape(128, -1).astype(float)
        guess = ((test[:, None] - means) ** 2).sum(-1).argmin(1)
        assert (guess == splits.test.labels).all(), shape
