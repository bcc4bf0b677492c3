"""The figures: what they draw, that they are drawn for every kind of study, and small."""

import io

import numpy as np
import pytest
from PIL import Image

from cnn_jax.study import drawing
from cnn_jax.study.drawing import colours, spread
from cnn_jax.study.figures import _log_floor, _mean_curve, comparison, learning_curves
from cnn_jax.study.results import results


def pixels(png):
    assert len(png) < 200_000
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has(picture, colour):
    """Whether a colour is in the picture, up to the rounding of its palette."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(picture.astype(int) - wanted).max(axis=-1) <= 6).any()


@pytest.fixture
def coarse(monkeypatch):
    """Fewer pixels where only the drawing is asked for: a quarter of the time."""
    monkeypatch.setattr(drawing, "DPI", 60)


def draw(made_up, **facts):
    arms = made_up.arms()
    found = results(made_up.facts(**facts), arms)
    return found, pixels(learning_curves(found, arms)), pixels(comparison(found))


def test_every_arm_has_its_own_colour_in_both_figures(made_up):
    found, curves, differences = draw(made_up)
    style = colours(found)
    assert style["full"] == ("#000000", "-")
    assert len({colour for colour, _ in style.values()}) == 5
    for name, (colour, _) in style.items():
        assert has(curves, colour), name
        assert has(differences, colour), name
    assert curves.shape[1] >= 1200  # pixels: sharp on a fine screen


@pytest.mark.parametrize(
    "counts",
    [
        {"full": [9], "without_7": [12]},
        {"full": [9, 8, 9]},
        {"full": [None, None], "without_7": [9, 8]},
        {"full": [None, None], "without_7": [None, None]},
        {
            "full": [4, 5, 3],
            "sigmoid": [320, 318, 300],
            "relu": [3, 4, 3],
            "elu": [5, 4, 4],
        },
        {"full": [0, 0, 0], "without_7": [0, 0, 0]},
        {f"arm_{i}" if i else "full": [9, 10, 8] for i in range(9)},
    ],
    ids=["one seed", "one arm", "no baseline", "nothing", "wide", "no error", "nine arms"],
)
@pytest.mark.usefixtures("coarse")
def test_every_kind_of_study_is_drawn(made_up, counts):
    made_up.counts = counts
    _, curves, differences = draw(made_up)
    assert (curves < 128).any()
    assert (differences < 128).any()


@pytest.mark.usefixtures("coarse")
def test_runs_of_one_epoch_or_none_are_drawn(made_up):
    arms = made_up.arms()
    found = results(made_up.facts(), arms)
    for rows in (1, 0):
        short = [
            type(arm)(**vars(arm) | {"curves": tuple(c[:rows] for c in arm.curves)})
            for arm in arms
        ]
        pixels(learning_curves(found, short))


def test_the_mean_curve_is_over_finished_seeds_at_their_common_epochs(made_up):
    made_up.counts = {"full": [9, 9, None]}
    [arm] = made_up.arms()
    curves = [{1.0: 10.0, 2.0: 4.0}, {1.0: 20.0, 2.0: 6.0, 3.0: 1.0}, {1.0: 90.0}]
    assert _mean_curve(arm, curves) == {1.0: 15.0, 2.0: 5.0}


def test_the_scale_is_logarithmic_where_the_errors_span_a_factor_of_eight():
    assert _log_floor([80.0, 11.0], 180) is None
    assert _log_floor([80.0, 10.0], 180) == pytest.approx(50 / 180)
    assert _log_floor([80.0, 0.0], 180) is not None


@pytest.mark.usefixtures("coarse")
def test_the_same_numbers_give_the_same_bytes(made_up):
    found = results(made_up.facts(), made_up.arms())
    assert comparison(found) == comparison(found)


def test_labels_are_moved_apart_and_keep_their_order():
    # By hand: 0.50, 0.51, 0.52 about their mean 0.51; 0.9 is far enough away.
    moved = spread([0.52, 0.9, 0.50, 0.51], gap=0.1)
    np.testing.assert_allclose(moved, [0.61, 0.9, 0.41, 0.51])
    np.testing.assert_allclose(spread([0.2, 0.8], gap=0.1), [0.2, 0.8])
    # Two pairs that collide once each is moved apart become one group of four.
    four = spread([0.40, 0.41, 0.50, 0.51], gap=0.1)
    np.testing.assert_allclose(np.diff(four), 0.1)
    assert np.mean(four) == pytest.approx(np.mean([0.40, 0.41, 0.50, 0.51]))
