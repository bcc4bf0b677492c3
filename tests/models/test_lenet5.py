import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

import cnn_jax
from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.errors import UserError
from cnn_jax.layers.connection_table import connected
from cnn_jax.layers.digit_bitmaps import digit_bitmaps
from cnn_jax.layers.tracing import trace_output, trace_variables
from cnn_jax.models.lenet5 import TABLE_I

# name, output shape, parameters, multiply-adds, connections: LeCun et al. 1998, Section
# II.B; multiply-adds by arithmetic.
ROWS = [
    ("c1", (28, 28, 6), 156, 117_600, 122_304),
    ("s2", (14, 14, 6), 12, 0, 5_880),
    ("c3", (10, 10, 16), 1_516, 150_000, 151_600),
    ("s4", (5, 5, 16), 32, 0, 2_000),
    ("c5", (1, 1, 120), 48_120, 48_000, 48_120),
    ("f6", (84,), 10_164, 10_080, 10_164),
    ("output", (10,), 0, 840, 840),
]
# Table I, column by column: the maps of S2 that each map of C3 sees.
C3 = [
    *([0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]),
    *([0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]),
    *([0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5]),
]


@pytest.fixture(scope="module")
def model():
    return cnn_jax.create_model("lenet5")


@pytest.fixture(scope="module")
def table(model):
    return layer_table(model)


def test_every_layer_has_the_papers_shape_parameters_and_multiply_adds(table):
    found = [(row.name, row.output_shape, row.parameters, row.macs) for row in table]
    assert found == [row[:4] for row in ROWS]
    assert sum(row.parameters for row in table) == 60_000


def test_every_layer_has_the_papers_connections(table):
    """A unit is connected to what it multiplies or adds up, and to its bias."""
    counts = []
    for row in table:
        units = math.prod(row.output_shape)
        inputs = 4 * units if row.kind == "Subsampling" else row.macs
        counts.append(inputs + (units if row.parameters else 0))
    assert counts == [row[4] for row in ROWS]
    assert sum(counts) == 340_908


def test_a_unit_sees_the_pixels_that_the_paper_says(table):
    fields = {row.name: (row.receptive_field, row.effective_stride) for row in table}
    assert fields["c1"] == ((5, 5), (1, 1))
    assert fields["s2"] == ((6, 6), (2, 2))
    assert fields["c3"] == ((14, 14), (2, 2))
    assert fields["s4"] == ((16, 16), (4, 4))


def test_c3_is_connected_as_in_table_1():
    joined = connected(TABLE_I)
    assert [np.nonzero(column)[0].tolist() for column in joined.T] == C3
    assert joined.sum() == 60


def squash(x):
    return 1.7159 * np.tanh(2.0 / 3.0 * x)


def subsample(x, layer):
    height, width, maps = x.shape
    sums = x.reshape(height // 2, 2, width // 2, 2, maps).sum((1, 3))
    return squash(layer["coefficient"] * sums + layer["bias"])


def by_numpy(x, params):
    """The network on one image, [32, 32, 1], map by map."""
    p = jax.tree.map(np.float64, params)
    x = np.float64(x)
    c1 = [correlate(x, p["c1"]["kernel"][..., k], "valid")[..., 0] for k in range(6)]
    s2 = subsample(squash(np.stack(c1, -1) + p["c1"]["bias"]), p["s2"])
    kernels, maps = iter(np.moveaxis(p["c3"]["kernel"], -1, 0)), []
    for inputs, bias in zip(C3, p["c3"]["bias"], strict=True):
        maps.append(
            bias + sum(correlate(s2[..., i], next(kernels), "valid") for i in inputs)
        )
    assert next(kernels, None) is None
    s4 = subsample(squash(np.stack(maps, -1)), p["s4"])
    c5 = squash(np.einsum("hwi,hwio->o", s4, p["c5"]["kernel"]) + p["c5"]["bias"])
    f6 = squash(c5 @ p["f6"]["kernel"] + p["f6"]["bias"])
    return -((f6 - digit_bitmaps().reshape(10, 84)) ** 2).sum(1)


def test_it_computes_what_the_paper_says(model, draw):
    x = draw.standard_normal((2, 32, 32, 1), np.float32)
    params = jax.tree.map(
        lambda leaf: (0.2 * draw.standard_normal(leaf.shape)).astype(np.float32),
        trace_variables(model)["params"],
    )
    scores = jax.jit(lambda p, x: model.apply({"params": p}, x, train=False))(params, x)
    for image, ours in zip(x, scores, strict=True):
        # float32: distances of about 150, sums of 400 terms in the layers below
        np.testing.assert_allclose(ours, by_numpy(image, params), rtol=2e-5)
    assert np.ptp(scores, axis=0).min() > 0.1  # the images do make a difference


def test_initial_weights_are_drawn_from_the_papers_range(model, rng):
    params = jax.jit(lambda k: model.init(k, jnp.zeros((1, 32, 32, 1)), train=False))(rng)
    params = jax.tree.map(np.asarray, params["params"])
    fan_in = {"c1": 25, "c5": 400, "f6": 120}
    for name, inputs in fan_in.items():
        reach = np.abs(params[name]["kernel"]).max() * inputs / 2.4
        assert 0.95 < reach <= 1.0001, name  # the largest of at least 150 draws
    ends = np.cumsum([len(inputs) for inputs in C3])
    for inputs, kernels in zip(
        C3, np.split(params["c3"]["kernel"], ends[:-1], -1), strict=True
    ):
        assert 0.85 < np.abs(kernels).max() * 25 * len(inputs) / 2.4 <= 1.0001
    assert np.abs(params["s4"]["coefficient"]).max() <= 0.6001  # four inputs
    assert np.ptp(params["s4"]["coefficient"]) > 0.5
    assert all(not layer["bias"].any() for layer in params.values())


def test_another_number_of_classes_has_the_bitmaps_of_the_first_digits(model):
    seven = cnn_jax.create_model("lenet5", num_classes=7)
    assert trace_variables(seven) == trace_variables(model)
    assert trace_output(seven, 2) == (2, 7)
    for count in (0, 11):
        with pytest.raises(ValueError, match=f"output: {count} classes.*1 to 10"):
            trace_output(cnn_jax.create_model("lenet5", num_classes=count))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: cnn_jax.without(m, "f6"), "output: its codes have 84 values"),
        (lambda m: cnn_jax.without(m, "c1"), "c3: its table connects 6 input maps"),
        (lambda m: cnn_jax.resize(m, c1=8), "c3: its table connects 6 input maps"),
        (lambda m: cnn_jax.resize(m, f6=50), "output: its codes have 84 values"),
        (lambda m: cnn_jax.without(m, "output"), "output is the classifier"),
    ],
)
def test_edits_that_the_table_or_the_codes_do_not_allow_are_refused(model, edit, message):
    with pytest.raises(UserError, match=message):
        edit(model)
