import jax
import numpy as np
import pytest

from cnn_jax.data.affine import AffineDistortion

NOTHING = {"translation": 0.0, "scaling": 0.0, "squeezing": 0.0, "shearing": 0.0}


def distortion(**amounts):
    return AffineDistortion(**(NOTHING | amounts))


@pytest.fixture(scope="module")
def maps():
    """Each kind alone, and all: the 2 x 2 matrices and shifts of 500 draws."""
    keys = jax.random.split(jax.random.key(1), 500)
    kinds = {
        "translation": distortion(translation=3.0),
        "scaling": distortion(scaling=0.25),
        "squeezing": distortion(squeezing=0.25),
        "shearing": distortion(shearing=0.4),
        "all": AffineDistortion(3.0, 0.25, 0.25, 0.4),
    }

    @jax.jit
    def fields(keys):
        return {
            name: jax.vmap(lambda key, d=d: d.displacement(key, 9, 7))(keys)
            for name, d in kinds.items()
        }

    return {name: _fit(np.asarray(moves)) for name, moves in fields(keys).items()}


def _fit(moves):
    """Return the linear part, [N, 2, 2], and the shift, [N, 2], of (row, column) -> source.

    Three corners determine them; the other pixels must agree.
    """
    rows, columns = np.mgrid[-4:5, -3:4].astype(float)
    source = moves + np.stack([rows, columns])
    by_row = (source[:, :, 8, 0] - source[:, :, 0, 0]) / 8
    by_column = (source[:, :, 0, 6] - source[:, :, 0, 0]) / 6
    shift = source[:, :, 4, 3]
    expected = (
        by_row[:, :, None, None] * rows
        + by_column[:, :, None, None] * columns
        + shift[:, :, None, None]
    )
    np.testing.assert_allclose(source, expected, atol=2e-5)  # float32, positions below 10
    return np.stack([by_row, by_column], axis=-1), shift


def test_a_translation_moves_every_pixel_alike_by_at_most_its_amount(maps):
    linear, shift = maps["translation"]
    np.testing.assert_allclose(linear, np.eye(2)[None].repeat(500, 0), atol=1e-6)
    for axis in (0, 1):
        assert np.abs(shift[:, axis]).max() <= 3.0
        # 500 uniform draws: within 5 standard errors
        assert shift[:, axis].std() == pytest.approx(3 / 3**0.5, rel=0.1)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.2


def test_scaling_keeps_and_squeezing_inverts_the_proportions(maps):
    linear, shift = maps["scaling"]
    np.testing.assert_allclose(linear[:, 0, 0], linear[:, 1, 1], rtol=1e-5)
    squeezed, _ = maps["squeezing"]
    np.testing.assert_allclose(squeezed[:, 0, 0] * squeezed[:, 1, 1], 1.0, rtol=1e-5)
    for matrices in (linear, squeezed):
        factors = matrices[:, 0, 0]
        assert 0.8 <= factors.min() < 0.81  # 1 / 1.25
        assert 1.24 < factors.max() <= 1.25
        assert (np.log(factors) > 0).mean() == pytest.approx(0.5, abs=0.12)
        assert np.abs(matrices[:, 0, 1]).max() == np.abs(matrices[:, 1, 0]).max() == 0
    np.testing.assert_allclose(shift, 0, atol=1e-6)


def test_shearing_is_horizontal(maps):
    linear, _ = maps["shearing"]
    np.testing.assert_allclose(
        linear[:, 0], np.array([[1.0, 0.0]]).repeat(500, 0), atol=1e-6
    )
    np.testing.assert_allclose(linear[:, 1, 1], 1.0, atol=1e-6)
    assert 0.39 < np.abs(linear[:, 1, 0]).max() <= 0.4


def test_together_they_are_drawn_independently(maps):
    linear, shift = maps["all"]
    area = np.log(linear[:, 0, 0] * linear[:, 1, 1])  # twice the scaling
    shape = np.log(linear[:, 0, 0] / linear[:, 1, 1])  # twice the squeezing
    amounts = np.stack([area, shape, linear[:, 1, 0], *shift.T])
    correlation = np.abs(np.corrcoef(amounts)) - np.eye(5)
    assert correlation.max() < 0.2  # 4.5 standard errors of 500 draws


def test_nothing_changes_nothing_and_black_comes_in_from_outside(draw):
    image = 1.0 + draw.random((8, 6, 2), np.float32)
    same, away = jax.jit(
        lambda key: [distortion(translation=t)(key, image, ()) for t in (0.0, 50.0)]
    )(jax.random.key(3))
    # The centre of an even edge lies between pixels: exact in binary.
    np.testing.assert_array_equal(same, image)
    assert not np.any(away)  # this key moves it out of sight


@pytest.mark.parametrize("name", list(NOTHING))
def test_bad_amounts_are_refused_when_declared(name):
    for value in (-0.1, float("inf"), float("nan")):
        with pytest.raises(
            ValueError, match=f"{name} {value} is not a number of at least 0"
        ):
            distortion(**{name: value})
