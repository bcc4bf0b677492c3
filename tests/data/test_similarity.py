import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.similarity import SimilarityDistortion


def moved(distortion, key, image):
    return np.asarray(jax.jit(distortion)(key, image, ()))


def test_amounts_are_those_of_the_fields():
    """Take the place of every pixel apart into shift, factors and angle."""
    distortion = SimilarityDistortion(translation=3.0, scaling=0.2, rotation=30.0)
    keys = jax.random.split(jax.random.key(1), 300)
    fields = jax.jit(jax.vmap(lambda k: distortion.displacement(k, 9, 7)))(keys)
    at = np.asarray(fields) + np.mgrid[-4:5, -3:4]
    shift = at[:, :, 4, 3]
    down, right = at[:, :, 5, 3] - shift, at[:, :, 4, 4] - shift  # a step in the image
    # Rows are (cos, -sin) / taller, (sin, cos) / wider.
    taller = 1 / np.hypot(down[:, 0], right[:, 0])
    wider = 1 / np.hypot(down[:, 1], right[:, 1])
    angle = np.degrees(np.arctan2(down[:, 1] * wider, right[:, 1] * wider))
    np.testing.assert_allclose(
        angle, np.degrees(np.arctan2(-right[:, 0] * taller, down[:, 0] * taller)), atol=1e-3
    )
    for amount, low, high in [
        (shift, -3.0, 3.0),
        (taller, 0.8, 1.2),
        (wider, 0.8, 1.2),
        (angle, -30.0, 30.0),
    ]:
        # Uniform: 300 draws come within 3 % of both ends (missed once in 8,000), not past.
        edge = 0.03 * (high - low)
        assert low - 1e-4 <= amount.min() < low + edge
        assert high - edge < amount.max() <= high + 1e-4
    drawn = np.stack([shift[:, 0], shift[:, 1], taller, wider, angle])
    # Independent: correlations of 300 draws have deviation 0.058.
    assert np.abs(np.corrcoef(drawn) - np.eye(5)).max() < 0.25


def test_a_digit_turns_as_it_is_told(monkeypatch):
    image = np.zeros((9, 9, 1), np.float32)
    image[4, 7] = 1.0  # to the right of the middle
    monkeypatch.setattr(jax.random, "uniform", lambda *_, **__: jnp.ones(5))
    quarter = SimilarityDistortion(translation=0.0, scaling=0.0, rotation=90.0)
    turned = moved(quarter, jax.random.key(0), image)[..., 0]
    # A pixel (r, c) shows the old (-c, r): what was right of the middle is now above it.
    assert np.unravel_index(turned.argmax(), turned.shape) == (7, 4)
    np.testing.assert_allclose(turned.sum(), 1.0, atol=1e-5)  # float32 places


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"translation": -1.0}, "translation -1.0"),
        ({"scaling": 1.0}, r"scaling 1.0 is not in \[0, 1\)"),
        ({"rotation": float("nan")}, "rotation nan"),
    ],
)
def test_an_amount_outside_its_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SimilarityDistortion(
            **{"translation": 0.0, "scaling": 0.0, "rotation": 0.0} | fields
        )
