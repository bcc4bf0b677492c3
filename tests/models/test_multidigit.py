import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.errors import UserError
from cnn_jax.layers.number_heads import split_heads
from cnn_jax.layers.subtractive_norm import subtractive_norm
from cnn_jax.models.multidigit import _maxima
from cnn_jax.types import task_of

# Goodfellow et al. 2014, Section 5.1, by arithmetic: map behind the pool, parameters,
# multiply-adds of the 5 x 5 convolution.
CONVOLUTIONS = {
    "conv1": ((27, 27, 48), 10_944, 31_492_800),
    "conv2": ((27, 27, 64), 76_864, 55_987_200),
    "conv3": ((14, 14, 128), 204_928, 149_299_200),
    "conv4": ((14, 14, 160), 512_160, 100_352_000),
    "conv5": ((7, 7, 192), 768_192, 150_528_000),
    "conv6": ((7, 7, 192), 921_792, 45_158_400),
    "conv7": ((4, 4, 192), 921_792, 45_158_400),
    "conv8": ((4, 4, 192), 921_792, 14_745_600),
}


def test_the_eight_convolutions_are_the_papers():
    table = layer_table(cnn_jax.create_model("multidigit"))
    rows = {r.name: (r.output_shape, r.parameters, r.macs) for r in table}
    assert {name: rows[name] for name in CONVOLUTIONS} == CONVOLUTIONS
    assert sum(parameters for _, parameters, _ in CONVOLUTIONS.values()) == 4_338_464
    assert sum(macs for _, _, macs in CONVOLUTIONS.values()) == 592_721_600
    # 16 places, each with 3 x 3 x 192 weights and a bias for each of 192 units
    assert rows["local"][:2] == ((4, 4, 192), 16 * (9 * 192 + 1) * 192)
    assert [rows[name][0] for name in ("fc1", "fc2", "heads")] == [(3072,), (3072,), (57,)]


def test_heads_are_the_length_and_then_digit_by_digit():
    model = cnn_jax.create_model("multidigit")
    assert task_of(model) == "multi_head" == cnn_jax.model_spec("multidigit").task
    length, digits = split_heads(np.arange(114).reshape(2, 57))
    np.testing.assert_array_equal(length[1], 57 + np.arange(7))
    np.testing.assert_array_equal(digits[0, 0], np.arange(7, 17))
    np.testing.assert_array_equal(digits[1, 4], 57 + np.arange(47, 57))


@pytest.mark.parametrize("outputs", [10, 7, 58])
def test_an_output_that_is_no_number_is_refused(outputs):
    with pytest.raises(UserError, match=rf"\({outputs},\) an image are no length.*57 are"):
        split_heads(np.zeros((2, outputs)))


def test_maxima_keep_the_size_at_stride_1(draw):
    x = draw.standard_normal((2, 5, 5, 3)).astype(np.float32)
    for stride, places in ((1, 5), (2, 3)):
        found = np.asarray(jax.jit(_maxima, static_argnums=1)(x, stride))
        assert found.shape == (2, places, places, 3)
        for i in range(places):
            for j in range(places):
                top, left = stride * i, stride * j
                window = x[:, top : top + 2, left : left + 2]
                np.testing.assert_array_equal(found[:, i, j], window.max((1, 2)))


def test_subtractive_norm_takes_the_mean_of_what_lies_inside(draw):
    x = draw.standard_normal((2, 4, 5, 3)).astype(np.float32)
    found = np.asarray(jax.jit(lambda x: subtractive_norm(x, size=3))(x))
    for i in range(4):
        for j in range(5):
            window = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            expected = x[:, i, j] - window.mean((1, 2, 3))[:, None]
            # float32 means of 27 values
            np.testing.assert_allclose(found[:, i, j], expected, atol=1e-6)


@pytest.mark.parametrize(("shape", "size"), [((2, 4, 5), 3), ((2, 4, 5, 1), 2)])
def test_subtractive_norm_refuses_what_has_no_middle(shape, size):
    with pytest.raises(ValueError, match="needed"):
        subtractive_norm(np.zeros(shape), size=size)
