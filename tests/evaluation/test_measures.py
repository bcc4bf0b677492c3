"""Errors, likelihood and confusion against loops, by hand, and at their edges."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.evaluation.measures import (
    NO_GUESS,
    Unknown,
    confusion,
    guesses,
    likelihood,
    losses,
    most_confused,
    per_class,
    ranks,
    rate,
    top_k_error,
)
from cnn_jax.maths.intervals import wilson_interval
from cnn_jax.training.metrics import measure
from tests.evaluation.made_predictions import predictions, random_predictions


def with_ties(seed, examples=300, classes=7):
    """Scores from so few values that ties are everywhere, at the top too."""
    random = np.random.default_rng(seed)
    scores = random.integers(-3, 0, (examples, classes))
    return predictions(scores, random.integers(0, classes, examples))


def test_ranks_are_those_of_a_stable_sort():
    made = with_ties(0)
    order = np.argsort(-made.log_probabilities, axis=-1, kind="stable")
    expected = [
        list(row).index(label) for row, label in zip(order, made.labels, strict=True)
    ]
    assert ranks(made).tolist() == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_top_1_is_what_training_measures_ties_and_all(bad):
    made = with_ties(1)
    made.log_probabilities[::7, 3] = bad
    ones = jnp.ones(len(made.labels))
    expected = measure(ones, jnp.asarray(made.log_probabilities), made.labels, ones)
    found = top_k_error(made, 1)
    assert found.wrong == int(expected.wrong)
    assert found.wrong == int((ranks(made) >= 1).sum())
    assert found == rate(guesses(made) != made.labels)


def test_errors_come_with_their_counts_and_wilsons_interval():
    made = random_predictions(2)
    for k in (1, 5):
        found = top_k_error(made, k)
        best = np.argsort(-made.log_probabilities, axis=-1)[:, :k]
        wrong = sum(label not in row for row, label in zip(best, made.labels, strict=True))
        assert (found.wrong, found.examples) == (wrong, 200)
        assert found.error == wrong / 200
        assert found.interval == pytest.approx(np.array(wilson_interval(wrong / 200, 200)))


@pytest.mark.parametrize("classes", [2, 5])
def test_top_5_of_five_classes_or_fewer_says_why_there_is_none(classes):
    found = top_k_error(random_predictions(0, classes=classes), 5)
    assert isinstance(found, Unknown)
    assert f"{classes} classes" in found.reason


def test_equal_scores_name_the_first_classes():
    flat = predictions(np.full((6, 6), -np.log(6.0)), range(6))
    assert ranks(flat).tolist() == [0, 1, 2, 3, 4, 5]
    assert top_k_error(flat, 1).wrong == 5
    assert top_k_error(flat, 5).wrong == 1


def test_the_likelihood_by_hand():
    made = predictions(np.log([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]), [0, 0, 0])
    values = -np.log([0.5, 0.25, 0.9])
    # 1e-6: logarithms in float32.
    np.testing.assert_allclose(losses(made), values, rtol=1e-6)
    assert likelihood(made).value == pytest.approx(values.mean(), rel=1e-6)
    low, high = likelihood(made).interval
    reach = 4.30265 * values.std(ddof=1) / np.sqrt(3)  # Student, 2 degrees, six digits
    assert (low, high) == pytest.approx(
        (values.mean() - reach, values.mean() + reach), 1e-4
    )
    certain = predictions([[0.0, -200.0]], [0])
    assert str(losses(certain)[0]) == "0.0"
    assert likelihood(certain).interval is None


def test_a_probability_too_small_for_float32_has_a_finite_loss():
    made = predictions([[-200.0, 0.0]], [0])
    assert made.probabilities[0, 0] == 0
    assert likelihood(made).value == 200.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_wrong_at_every_k_and_leaves_no_likelihood(bad):
    made = random_predictions(3)
    # Even where the label's own score is the highest.
    made.log_probabilities[:2] = -9.0
    made.log_probabilities[[0, 1], made.labels[:2]] = 0.0
    right = (ranks(made) >= 5).sum()
    made.log_probabilities[[0, 1], (made.labels[:2] + 1) % 7] = bad
    assert ranks(made)[:2].tolist() == [7, 7]
    assert guesses(made)[:2].tolist() == [NO_GUESS, NO_GUESS]
    assert top_k_error(made, 5).wrong == right + 2
    assert np.isinf(losses(made)[:2]).all()
    found = likelihood(made)
    assert found == Unknown("2 examples have a score that is not finite")


def test_the_confusion_matrix_counts_every_example_once():
    made = random_predictions(4, edge=0.5)
    made.log_probabilities[5] = np.nan
    expected = np.zeros((7, 8), int)
    for row, label in zip(made.log_probabilities, made.labels, strict=True):
        expected[label, 7 if np.isnan(row).any() else row.argmax()] += 1
    np.testing.assert_array_equal(confusion(made), expected)
    assert confusion(made).sum() == 200


def test_each_class_has_its_own_error_and_what_it_is_taken_for():
    rows = np.log([[0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    a, b, c = per_class(predictions(rows, [0, 0, 0, 0]))
    assert (a.rate.wrong, a.rate.examples, a.guessed, a.taken_for) == (3, 4, 1, ("b", 2))
    assert a.rate.interval == pytest.approx(np.array(wilson_interval(0.75, 4)))
    assert (b.rate, b.guessed, b.taken_for) == (None, 2, None)  # no example of it
    assert (c.rate, c.guessed) == (None, 1)


def test_the_most_frequent_confusions_come_first():
    rows = np.eye(3)[[1, 1, 2, 0, 0, 2]] * 5
    found = most_confused(predictions(rows, [0, 0, 0, 0, 1, 2]))
    assert [tuple(pair) for pair in found] == [("a", "b", 2), ("a", "c", 1), ("b", "a", 1)]
    assert most_confused(predictions(np.eye(3), [0, 1, 2])) == ()
