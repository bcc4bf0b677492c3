import jax
import numpy as np
import pytest

from cnn_jax.layers.subsampling import TrainableSubsampling
from cnn_jax.maths.geometry import WindowError


def test_sums_of_windows_times_a_coefficient_plus_a_bias(draw):
    size = 3
    x = draw.standard_normal((2, 7, 6, 3), np.float32)
    params = {
        "coefficient": draw.standard_normal(3).astype(np.float32),
        "bias": draw.standard_normal(3).astype(np.float32),
    }
    y = np.asarray(jax.jit(TrainableSubsampling(size).apply)({"params": params}, x))
    assert y.shape == (2, 7 // size, 6 // size, 3)
    for n, r, c, m in np.ndindex(y.shape):
        total = sum(
            float(x[n, r * size + i, c * size + j, m])
            for i in range(size)
            for j in range(size)
        )
        expected = params["coefficient"][m] * total + params["bias"][m]
        assert y[n, r, c, m] == pytest.approx(expected, abs=5e-6)  # float32, 9 terms


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((1, 2, 5, 1), WindowError, "window of 3 does not fit 2"),
        ((1, 4), ValueError, r"shape \(1, 4\); \[N, H, W, C\] is needed"),
    ],
)
def test_what_does_not_fit_is_refused(rng, shape, error, message):
    with pytest.raises(error, match=message):
        jax.eval_shape(TrainableSubsampling(3).init, rng, np.zeros(shape, np.float32))
