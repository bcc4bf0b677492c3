import numpy as np
import pytest

from cnn_jax.data.svhn import find_svhn_cropped, open_svhn_cropped
from cnn_jax.errors import UserError
from tests.data.original_files import write_svhn


@pytest.fixture
def folder(tmp_path):
    return write_svhn(tmp_path / "svhn", names=("train", "test", "extra"))


def message_of(folder):
    with pytest.raises(UserError) as caught:
        open_svhn_cropped(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_are_turned_and_label_10_is_the_digit_0(folder):
    dataset = open_svhn_cropped(folder)
    splits = dataset.read((32, 32, 3))
    assert [len(s.labels) for s in splits] == [18, 2, 20]
    assert splits.test.labels.tolist() == [*range(1, 10), 0] * 2
    written = np.random.default_rng(1).integers(0, 256, (32, 32, 3, 20), np.uint8)
    for number in (0, 19):
        assert (splits.test.images[number] == written[..., number]).all()
    assert dataset.classes == tuple("0123456789")
    assert dataset.pictures is None


def test_the_extra_images_are_a_part_that_is_read_only_when_asked_for(folder):
    assert set(find_svhn_cropped(folder).parts) == {"train", "test"}
    whole = find_svhn_cropped(folder, extra=True)
    assert set(whole.parts) == {"train", "test", "extra"}
    assert whole.fingerprint == open_svhn_cropped(folder).fingerprint


def test_what_is_wrong_with_a_file_is_named(folder):
    from scipy.io import savemat

    path = folder / "train_32x32.mat"
    whole = path.read_bytes()
    images = np.zeros((32, 32, 3, 4), np.uint8)
    for content, expected in (
        ({"X": images}, "has no variables X and y"),
        ({"X": images, "y": np.ones(3)}, "but y has 3 labels"),
        (
            {"X": images, "y": np.array([1, 11, 2, 3])},
            "label 11 at index 1, allowed 1 to 10",
        ),
        ({"X": images, "y": np.array([1, 0, 2, 3])}, "label 0 at index 1, allowed 1 to 10"),
        ({"X": images[:28], "y": np.ones(4)}, r"X is uint8 [28, 32, 3, 4], expected uint8"),
        ({"X": images.astype(float), "y": np.ones(4)}, "X is float64"),
    ):
        savemat(path, content)
        assert expected in message_of(folder)
    for content in (
        whole[:-500],
        whole[:200],
        b"MATLAB 5.0",
        b"\x89HDF\r\n\x1a\n" + bytes(600),
    ):
        path.write_bytes(content)
        message = message_of(folder)
        assert f"{path} is truncated or damaged, or no MATLAB 5 file" in message
    path.unlink()
    assert f"{path} is missing; expected" in message_of(folder)
