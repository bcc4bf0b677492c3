import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers.rows import Classifier, Conv, SpatialPyramidPool
from cnn_jax.layers.spatial_pyramid_pooling import bin_ranges, spatial_pyramid_pool
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_output
from cnn_jax.maths.geometry import WindowError


@pytest.mark.parametrize(
    ("size", "bins", "expected"),
    [
        # By hand, from floor(i size / n) and ceil((i + 1) size / n).
        (14, 7, [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14)]),
        (14, 3, [(0, 5), (4, 10), (9, 14)]),
        (14, 2, [(0, 7), (7, 14)]),
        (14, 1, [(0, 14)]),
        (13, 3, [(0, 5), (4, 9), (8, 13)]),  # Section 2.2's windows of 5, stride 4
        (13, 2, [(0, 7), (6, 13)]),  # windows of 7, stride 6
        (5, 4, [(0, 2), (1, 3), (2, 4), (3, 5)]),
    ],
)
def test_bins_have_the_edges_of_the_appendix(size, bins, expected):
    assert bin_ranges(size, bins) == expected


def test_no_pixel_is_left_out_and_no_bin_is_empty():
    for size in range(1, 30):
        for bins in range(1, size + 1):
            ranges = bin_ranges(size, bins)
            covered = {pixel for a, b in ranges for pixel in range(a, b)}
            assert covered == set(range(size))
            assert all(a < b for a, b in ranges)


def test_each_bin_holds_the_maximum_of_its_rectangle_in_the_stated_order(draw):
    x = draw.standard_normal((2, 9, 7, 3)).astype(np.float32)
    found = np.asarray(spatial_pyramid_pool(jnp.asarray(x), (4, 3, 1)))
    assert found.shape == (2, 16 + 9 + 1, 3)
    place = 0
    for n in (4, 3, 1):
        for i in range(n):
            for j in range(n):
                top, bottom = int(np.floor(i * 9 / n)), int(np.ceil((i + 1) * 9 / n))
                left, right = int(np.floor(j * 7 / n)), int(np.ceil((j + 1) * 7 / n))
                expected = x[:, top:bottom, left:right].max((1, 2))
                np.testing.assert_array_equal(found[:, place], expected)
                place += 1


def test_the_result_has_one_length_for_maps_of_any_size():
    network = TableNetwork(
        table=(Conv("conv1", 4, 3), SpatialPyramidPool("spp", (3, 2)), Classifier("fc2"))
    )
    shapes = [(5, 5, 3), (6, 11, 3), (40, 30, 3)]
    for shape in shapes:
        features = network.clone(input_shape=shape, table=network.table[:2])
        assert trace_output(features) == (1, 13, 4)
        assert trace_output(network.clone(input_shape=shape)) == (1, 10)


def test_maps_smaller_than_a_level_are_refused_with_the_layer():
    network = TableNetwork(
        table=(SpatialPyramidPool("spp", (4, 1)), Classifier("fc1")),
        input_shape=(5, 3, 1),
    )
    with pytest.raises(WindowError, match=r"^spp: 4 bins do not fit 3 pixels: 1 to 3 bins"):
        trace_output(network)


def test_a_pyramid_without_levels_or_bins_is_refused():
    with pytest.raises(ValueError, match="at least one level"):
        spatial_pyramid_pool(jnp.zeros((1, 4, 4, 1)), ())
    with pytest.raises(WindowError, match="0 bins do not fit 4 pixels"):
        spatial_pyramid_pool(jnp.zeros((1, 4, 4, 1)), (2, 0))
