"""Predictions survive a file bit by bit; what is no such file is refused."""

import pickle

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.evaluation.predictions import load_predictions, save_predictions
from tests.evaluation.made_predictions import random_predictions


def test_what_is_saved_is_what_is_loaded(tmp_path):
    made = random_predictions(0)
    made.log_probabilities[0] = np.nan
    made.log_probabilities[1, 1] = -1e30
    odd = "test/caf\udce9/日本.png"  # a name that is not valid UTF-8 on disk
    made = made._replace(examples=(odd, *made.examples[1:]), classes=tuple("abcdéf$"))
    save_predictions(tmp_path / "a.npz", made)
    found = load_predictions(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.log_probabilities, made.log_probabilities)
    np.testing.assert_array_equal(found.labels, made.labels)
    assert (found.log_probabilities.dtype, found.labels.dtype) == (np.float32, np.int32)
    assert found[2:] == made[2:]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


def test_a_file_that_is_something_else_is_refused_and_never_executed(tmp_path):
    path = tmp_path / "a.npz"
    save_predictions(path, random_predictions(0))
    whole = path.read_bytes()

    class Command:
        def __reduce__(self):
            return (pytest.fail, ("executed",))

    np.savez(tmp_path / "b.npz", labels=np.array([Command()], dtype=object))
    contents = [
        whole[: len(whole) // 2],
        b"",
        b"not a zip",
        pickle.dumps(Command()),
        (tmp_path / "b.npz").read_bytes(),
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.npz is no readable predictions file"):
            load_predictions(path)
    with pytest.raises(UserError, match="does not exist"):
        load_predictions(tmp_path / "missing.npz")


def test_parts_that_do_not_fit_are_refused(tmp_path):
    made = random_predictions(0)
    save_predictions(tmp_path / "a.npz", made._replace(labels=made.labels[:-1]))
    with pytest.raises(UserError, match="do not fit"):
        load_predictions(tmp_path / "a.npz")
