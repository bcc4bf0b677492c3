import numpy as np
import pytest

from cnn_jax.data.dataset import Split, Splits
from cnn_jax.data.subsets import balanced, check_labels, subset
from cnn_jax.errors import UserError


def splits_of(labels):
    labels = np.array(labels, np.int32)
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    split = Split(images, labels)
    return Splits(split, split, split)


def test_a_subset_is_balanced_and_keeps_images_with_their_labels():
    rng = np.random.default_rng(0)
    whole = splits_of(rng.integers(0, 4, 200))
    small = subset(whole, 42)
    assert len(small.train.labels) == 42
    assert sorted(np.bincount(small.train.labels)) == [10, 10, 11, 11]
    chosen = small.train.images.ravel()
    assert (np.diff(chosen.astype(int)) > 0).all()  # in the old order, none twice
    assert (small.train.labels == whole.train.labels[chosen]).all()
    assert small.test is whole.test
    assert small.validation is whole.validation


def test_a_class_that_runs_out_is_made_up_for_by_the_others():
    labels = np.array([0] * 3 + [1] * 50 + [2] * 50)
    assert np.bincount(labels[balanced(labels, 33)]).tolist() == [3, 15, 15]


def test_a_smaller_subset_lies_within_a_larger_one_and_is_no_prefix():
    labels = np.random.default_rng(1).integers(0, 10, 300)
    small, large = balanced(labels, 50), balanced(labels, 120)
    assert set(small) <= set(large)
    assert small.max() > 150  # the choice runs over the whole split
    assert (balanced(labels, 50) == small).all()


def test_all_examples_and_none_give_the_whole_split():
    whole = splits_of([0, 1, 0, 1])
    assert subset(whole, None) is whole
    assert (subset(whole, 4).train.images == whole.train.images).all()


@pytest.mark.parametrize("count", [0, -3, 5])
def test_a_subset_that_can_not_be_is_refused(count):
    with pytest.raises(UserError, match=f"subset of {count} .* allowed are 1 to 4"):
        subset(splits_of([0, 1, 0, 1]), count)


def test_labels_outside_of_the_classes_are_named():
    split = splits_of([0, 1, 5, 7]).train
    check_labels(split, 8, "x, train")
    with pytest.raises(UserError, match="x, train: label 5 at index 2, allowed are 0 to 4"):
        check_labels(split, 5, "x, train")
    with pytest.raises(UserError, match="label -1 at index 0"):
        check_labels(splits_of([-1]).train, 5, "x")
