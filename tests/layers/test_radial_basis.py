import jax
import numpy as np
import pytest

from cnn_jax.layers.digit_bitmaps import digit_bitmaps
from cnn_jax.layers.radial_basis import DigitDistances, EuclideanUnits, digit_units


def test_scores_are_minus_the_squared_distances(draw):
    codes = ((1.0, -1.0, 1.0), (0.5, 2.0, -3.0))
    x = draw.standard_normal((4, 3), np.float32)
    y = jax.jit(EuclideanUnits(codes).apply)({}, x)
    expected = [
        [-sum((a - b) ** 2 for a, b in zip(v, c, strict=True)) for c in codes] for v in x
    ]
    np.testing.assert_allclose(y, expected, rtol=1e-6)  # float32 sums of 3 squares


def test_a_digits_own_drawing_is_at_distance_0():
    bitmaps = digit_bitmaps()
    y = np.asarray(
        digit_units(DigitDistances("output"), 10).apply({}, bitmaps.reshape(10, 84))
    )
    # Whole numbers: exact. Each pixel that differs counts (1 - -1)^2.
    differing = (bitmaps[:, None] != bitmaps[None]).sum((2, 3))
    np.testing.assert_array_equal(y, -4.0 * differing)
    assert (np.diag(differing) == 0).all()
    # Far enough apart that no unit of size 1.7 decides alone.
    assert np.min(differing + 84 * np.eye(10, dtype=int)) >= 4


def test_the_drawings_are_7_by_12_of_plus_and_minus_1():
    bitmaps = digit_bitmaps()
    assert bitmaps.shape == (10, 12, 7)
    assert set(np.unique(bitmaps)) == {-1.0, 1.0}
    assert (bitmaps[:, 10:] == -1).all()  # no digit descends
    one, eight = bitmaps[1], bitmaps[8]
    assert (one[3:9] == [-1, -1, -1, 1, 1, -1, -1]).all()
    np.testing.assert_array_equal(eight, eight[:, ::-1])  # 8 is its own mirror image


@pytest.mark.parametrize("count", [0, 11])
def test_there_are_ten_digits(count):
    with pytest.raises(ValueError, match=f"out: {count} classes; .* 1 to 10"):
        digit_units(DigitDistances("out"), count)


def test_an_input_that_is_not_as_long_as_the_codes_is_refused():
    units = digit_units(DigitDistances("out"), 10)
    with pytest.raises(ValueError, match=r"out: its codes have 84 values; .* \(120,\)"):
        units.apply({}, np.zeros((1, 120), np.float32))
