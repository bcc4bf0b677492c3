"""A cache holds the decoded images, whole or not at all."""

import errno
import json
import shutil

import numpy as np
import pytest

from cnn_jax.data import streaming_cache
from cnn_jax.data.datasets import open_dataset
from cnn_jax.data.streaming_sources import cache_splits, fits, open_splits
from cnn_jax.errors import UserError
from tests.data.photo_trees import make_photos

SHAPE = (10, 14, 3)
IMAGE = 10 * 14 * 3


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("tree"), counts={"train": 9, "test": 3})


@pytest.fixture
def fill(tree, tmp_path, monkeypatch):
    """Fills ``tmp_path``; returns the pictures and what was told."""
    monkeypatch.setattr(streaming_cache, "FILE_BYTES", 4 * IMAGE)

    def do(train_examples=None):
        dataset = open_dataset("image-folder", tree)
        splits = open_splits(dataset, SHAPE, train_examples)
        told = []
        return cache_splits(
            splits,
            tmp_path,
            dataset,
            SHAPE,
            train_examples,
            0,
            lambda *what: told.append(what),
        ), told

    return do


def assert_same(found, tree, train_examples=None):
    original = open_splits(open_dataset("image-folder", tree), SHAPE, train_examples)
    for name, split in original.items():
        assert found[name].names == split.names
        assert (found[name].labels == split.labels).all()
        for position in range(len(split.labels)):
            image = found[name].decode(position)
            assert image.dtype == np.uint8
            assert (image == split.decode(position)).all()


def content(directory):
    return {p.name: p.read_bytes() for p in directory.glob("*/*") if p.suffix == ".u8"}


def test_splits_are_those_that_the_dataset_reads(tree):
    dataset = open_dataset("image-folder", tree)
    read = dataset.read(SHAPE)
    for name, split in open_splits(dataset, SHAPE, None).items():
        whole = getattr(read, name)
        assert (split.labels == whole.labels).all()
        decoded = [split.decode(position) for position in range(len(split.labels))]
        assert (np.stack(decoded) == whole.images).all()


def test_what_is_cached_is_what_was_decoded(fill, tree, tmp_path):
    found, told = fill()
    assert_same(found, tree)
    sizes = {name: len(split.labels) for name, split in found.items()}
    for name, size in sizes.items():
        assert (f"decoding {name} into the cache", size, size) in told
        (index,) = tmp_path.glob(f"*/{name}.json")
        told_there = json.loads(index.read_text())
        assert told_there["examples"] == size
        assert told_there["shape"] == list(SHAPE)
    again, told = fill()
    assert told == []
    assert_same(again, tree)


def test_a_subset_has_a_cache_of_its_own(fill, tree, tmp_path):
    fill()
    found, told = fill(train_examples=5)
    assert told != []
    assert len(list(tmp_path.iterdir())) == 2
    assert_same(found, tree, 5)


def test_what_is_cut_short_or_missing_is_decoded_again_and_nothing_else(
    fill, tree, tmp_path
):
    fill()
    before = content(tmp_path)
    (first,) = tmp_path.glob("*/train-00000.u8")
    (second,) = tmp_path.glob("*/train-00001.u8")
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    found, told = fill()
    assert told[-1] == ("decoding train into the cache", 8, 8)
    assert content(tmp_path) == before
    assert_same(found, tree)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    fill, tmp_path, monkeypatch
):
    usage = shutil.disk_usage
    monkeypatch.setattr(
        streaming_cache.shutil, "disk_usage", lambda place: usage(place)._replace(free=99)
    )
    with pytest.raises(UserError, match=r"--cache .*train need .* GiB more, and 0\.0 GiB"):
        fill()
    assert content(tmp_path) == {}


def test_a_disk_that_gets_full_leaves_only_whole_files(fill, tree, tmp_path, monkeypatch):
    replace, done = streaming_cache.os.replace, []

    def full(source, target):
        if len(done) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(streaming_cache.os, "replace", full)
        with pytest.raises(UserError, match="the disk is full; what is whole stays"):
            fill()
    assert sorted(content(tmp_path)) == ["train-00000.u8", "train-00001.u8"]
    assert list(tmp_path.glob("*/.*.part")) == []
    assert list(tmp_path.glob("*/*.json")) == []
    found, told = fill()
    assert told[0][2] == len(found["train"].labels) - 8
    assert_same(found, tree)


def test_a_file_that_is_gone_later_is_an_error_not_a_black_image(fill, tmp_path):
    found, _ = fill()
    for file in tmp_path.glob("*/test-00000.u8"):
        file.write_bytes(b"short")
    with pytest.raises(ValueError, match="reshape"):
        found["test"].decode(1)


def test_what_fits_is_kept_and_what_does_not_is_streamed(tree, monkeypatch):
    dataset = open_dataset("image-folder", tree)
    assert fits(dataset, SHAPE)
    examples = sum(len(s.labels) for s in open_splits(dataset, SHAPE, None).values())
    monkeypatch.setattr(
        "cnn_jax.data.streaming_sources.RESIDENT_BYTES", examples * IMAGE - 1
    )
    assert not fits(dataset, SHAPE)
    assert fits(open_dataset("synthetic"), (8, 8, 1))  # it is in memory anyway
