import json
import socket
import sys

import numpy as np
import pytest

from cnn_jax.data.datasets import open_dataset
from cnn_jax.data.prepare import ORIGINALS, prepare
from cnn_jax.errors import UserError
from tests.data.image_trees import make_tree
from tests.data.original_files import (
    write_cifar10,
    write_cifar100,
    write_idx,
    write_imagenet,
    write_svhn,
)


@pytest.fixture(autouse=True)
def _small_mnist(monkeypatch):
    monkeypatch.setattr("cnn_jax.data.idx.VALIDATION", 10)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def write_original(name, folder):
    if name in ("mnist", "fashion_mnist"):
        return write_idx(folder, train=40, seed=len(name))
    if name == "cifar10":
        return write_cifar10(folder, kind="python")
    if name == "cifar100":
        return write_cifar100(folder, kind="binary")
    if name == "svhn_cropped":
        return write_svhn(folder, names=("train", "test", "extra"))
    if name == "imagenet2012":
        return write_imagenet(folder)
    return make_tree(folder, counts={"train": 6, "test": 2, "validation": 3})


@pytest.mark.parametrize("name", ORIGINALS)
def test_what_is_prepared_reads_as_the_original_files_do(tmp_path, name):
    source = write_original(name, tmp_path / "My pets (2)")
    told = []
    done = prepare(name, source, tmp_path / "out", progress=lambda *what: told.append(what))
    original = open_dataset(name, source)
    dataset = open_dataset(done.dataset, tmp_path / "out")
    assert dataset.name == ("tfds:my_pets_2" if name == "image-folder" else f"tfds:{name}")
    for fact in ("classes", "channels", "fingerprint", "label"):
        assert getattr(dataset, fact) == getattr(original, fact), fact
    shape = (24, 24, 3) if original.channels == 3 else (32, 32, 1)
    for a, b in zip(original.read(shape), dataset.read(shape), strict=True):
        assert (a.labels == b.labels).all()
        differs = np.abs(a.images.astype(int) - b.images)
        # ImageNet's CMYK file and its PNG went through JPEG at quality 100.
        assert differs.max() <= (4 if name == "imagenet2012" else 0)
        assert (differs.reshape(len(a.labels), -1).max(axis=1) > 0).sum() <= 2
    total = sum(done.examples.values())
    assert told[-2] == (total, total, told[-2][2])
    assert [what[0] for what in told] == sorted(what[0] for what in told)
    if original.pictures and dataset.pictures:
        assert dataset.pictures("train", 3, None).names == (
            original.pictures("train", 3, None).names
        )
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("name", ["mnist", "cifar100", "svhn_cropped", "imagenet2012"])
def test_tfds_itself_reads_what_was_written(tmp_path, name):
    import tensorflow_datasets as tfds

    source = write_original(name, tmp_path / "source")
    done = prepare(name, source, tmp_path / "out")
    original = open_dataset(name, source)
    # In the order of the files: all of them, the validation examples among them.
    parts = ORIGINALS[name](source).parts
    for split, count in done.examples.items():
        found = tfds.data_source(name, split=split, data_dir=tmp_path / "out")
        assert len(found) == count == len(parts[split].labels)
        examples = [found[i] for i in range(count)]
        assert [e["label"] for e in examples] == parts[split].labels.tolist()
        if isinstance(parts[split].images, np.ndarray):
            assert (np.stack([e["image"] for e in examples]) == parts[split].images).all()
    if name == "cifar100":
        assert [e["coarse_label"] for e in examples] == [0, 1, 2, 3]
        assert examples[3]["id"] == b"test_00003"
    if name == "imagenet2012":
        assert examples[0]["file_name"] == b"ILSVRC2012_val_00000001.JPEG"
    info = tfds.builder(name, data_dir=tmp_path / "out").info
    assert tuple(info.features["label"].names) == original.classes
    assert "tensorflow" not in sys.modules


def test_names_that_do_not_fit_are_refused(tmp_path):
    tree = make_tree(tmp_path / "42")
    with pytest.raises(UserError, match="unknown dataset to prepare 'cifar'; did you mean"):
        prepare("cifar", tree, tmp_path)
    with pytest.raises(UserError, match="'42' can't be the name of a dataset"):
        prepare("image-folder", tree, tmp_path)
    with pytest.raises(
        UserError, match="cifar10 is a dataset of TFDS; give the image folder"
    ):
        prepare("image-folder", tree, tmp_path, called="cifar10")
    with pytest.raises(UserError, match="mnist keeps its name"):
        prepare("mnist", tree, tmp_path, called="other")
    done = prepare("image-folder", tree, tmp_path / "out", called="pets")
    assert json.loads((done.directory / "dataset_info.json").read_text())["name"] == "pets"
