import subprocess
import sys
from pathlib import Path

import pytest

from cnn_jax.data.datasets import DATASETS, list_datasets, open_dataset
from cnn_jax.errors import UserError


def test_the_names_are_those_of_the_table():
    assert list_datasets() == sorted(DATASETS)
    assert set(DATASETS) >= {
        "cifar10",
        "cifar100",
        "digits",
        "fashion_mnist",
        "image-folder",
        "imagenet2012",
        "mnist",
        "svhn_cropped",
        "rotated_mnist",
        "synthetic",
    }
    for name, info in DATASETS.items():
        assert info.name == name
        assert info.description
        assert "\n" not in info.description


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(UserError, match=r"unknown dataset 'cifar'; did you mean cifar10"):
        open_dataset("cifar")
    with pytest.raises(UserError, match=r"did you mean image-folder"):
        open_dataset("image_folder")


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_what_is_declared_holds_for_what_is_opened(name):
    dataset, info = open_dataset(name), DATASETS[name]
    assert dataset.name == name
    assert dataset.channels == info.channels
    assert len(dataset.classes) == info.num_classes
    assert len(dataset.fingerprint) == 64


@pytest.mark.parametrize(
    "name",
    [
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar100",
        "svhn_cropped",
        "imagenet2012",
        "image-folder",
    ],
)
def test_a_dataset_of_files_asks_for_its_directory(name, tmp_path):
    with pytest.raises(UserError, match=f"{name} needs --data-dir"):
        open_dataset(name)
    with pytest.raises(UserError, match=r"nowhere does not exist; expected"):
        open_dataset(name, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty is empty; expected"):
        open_dataset(name, tmp_path / "empty")


def test_a_directory_that_would_not_be_used_is_refused():
    with pytest.raises(UserError, match=r"digits takes no --data-dir .*mnist"):
        open_dataset("digits", Path("somewhere"))


def test_the_table_is_loaded_without_pillow_and_scikit_learn():
    code = (
        "import sys, cnn_jax.data.datasets\n"
        "sys.exit(' '.join({'PIL', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.stderr.decode().strip() == ""
