import numpy as np
import pytest

from cnn_jax.kernels.pooling import average_pool
from cnn_jax.layers.adaptive_pooling import adaptive_average_pool
from cnn_jax.maths.geometry import WindowError


@pytest.mark.parametrize(("height", "width", "bins"), [(14, 14, 4), (7, 9, 6), (5, 5, 5)])
def test_each_bin_is_the_mean_of_its_pixels(height, width, bins, draw):
    x = draw.standard_normal((2, height, width, 3)).astype(np.float32)
    expected = np.zeros((2, bins, bins, 3))
    for i in range(bins):
        for j in range(bins):
            rows = range(
                int(np.floor(i * height / bins)), int(np.ceil((i + 1) * height / bins))
            )
            columns = range(
                int(np.floor(j * width / bins)), int(np.ceil((j + 1) * width / bins))
            )
            pixels = [x[:, r, c].astype(np.float64) for r in rows for c in columns]
            expected[:, i, j] = np.mean(pixels, axis=0)
    # float32 means of at most 16 pixels.
    np.testing.assert_allclose(adaptive_average_pool(x, bins), expected, atol=1e-6)


def test_bins_that_divide_the_size_are_a_plain_pool(draw):
    x = draw.standard_normal((1, 12, 12, 2)).astype(np.float32)
    plain = average_pool(x, 3, 3)
    np.testing.assert_allclose(adaptive_average_pool(x, 4), plain, atol=1e-6)


def test_fewer_pixels_than_bins_are_refused():
    with pytest.raises(WindowError, match="4 bins do not fit 3 pixels"):
        adaptive_average_pool(np.zeros((1, 3, 8, 2), np.float32), 4)
