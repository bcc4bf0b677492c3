import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cnn_jax
from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.errors import UserError
from cnn_jax.layers.tracing import trace_output, trace_variables
from cnn_jax.training.losses import squared_error

# name, output shape, parameters, multiply-adds; the last 6 parameters are our assumption.
ROWS = [
    ("hidden1", (13, 1, 8), 392, 4_992),
    ("hidden2", (9, 1, 3), 123, 1_080),
    ("output", (3,), 6, 27),
]


@pytest.fixture(scope="module")
def model():
    return cnn_jax.create_model("tdnn")


@pytest.fixture(scope="module")
def params(model):
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: draw.standard_normal(leaf.shape).astype(np.float32) / 3,
        trace_variables(model)["params"],
    )


def test_every_layer_has_the_papers_sizes(model):
    rows = layer_table(model)
    assert [(r.name, r.output_shape, r.parameters, r.macs) for r in rows] == ROWS
    assert [r.receptive_field for r in rows] == [(3, 1), (7, 1), (15, 1)]


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def by_numpy(x, params):
    """Every unit at every time as a loop over the frames it sees; [frames, 16] -> [3]."""
    for name, window in (("hidden1", 3), ("hidden2", 5)):
        kernel, bias = (np.float64(params[name][k]) for k in ("kernel", "bias"))
        y = np.zeros((len(x) - window + 1, len(bias)))
        for t, unit in np.ndindex(y.shape):
            y[t, unit] = bias[unit]
            for delay in range(window):
                y[t, unit] += (x[t + delay] * kernel[delay, 0, :, unit]).sum()
        x = sigmoid(y)
    weight, bias = (np.float64(params["output"][k]) for k in ("weight", "bias"))
    total = np.zeros(3)
    for frame in x:
        total += frame**2
    return sigmoid(weight * total + bias), x


@pytest.fixture(scope="module")
def apply(model):
    return jax.jit(lambda p, x: model.apply({"params": p}, x, train=False))


def test_it_computes_what_the_paper_says(params, apply, draw):
    x = draw.standard_normal((2, 15, 1, 16), np.float32)
    outputs = apply(params, x)
    for sequence, ours in zip(x, outputs, strict=True):
        expected, _ = by_numpy(np.float64(sequence[:, 0]), params)
        np.testing.assert_allclose(ours, expected, rtol=1e-5)  # float32 sums of 48 terms


def test_a_sound_is_the_same_at_any_time(params, apply, draw):
    """With 6 silent frames on either side, no unit that hears it leaves the window."""
    sound = draw.standard_normal((4, 16))
    silence = np.zeros((8, 22, 1, 16), np.float32)
    for shift, sequence in enumerate(silence):
        sequence[6 + shift : 10 + shift, 0] = sound
    hidden = [by_numpy(np.float64(sequence[:, 0]), params)[1] for sequence in silence]
    for shift, frames in enumerate(hidden[1:6], 1):
        np.testing.assert_array_equal(frames[shift : shift + 10], hidden[0][:10])
    outputs = np.asarray(apply(params, silence))
    # The same terms added up in another order, in float32; then the sound is cut off.
    np.testing.assert_allclose(outputs[1:7], outputs[:1].repeat(6, 0), rtol=2e-6)
    assert np.abs(outputs[7] - outputs[0]).max() > 1e-5
    assert np.abs(outputs[0] - apply(params, 0 * silence)[0]).max() > 1e-3


def glides(draw, count):
    """Made-up sounds: a band of energy that rises, falls or stays, at any time."""
    labels = np.arange(count) % 3
    x = 0.2 * draw.standard_normal((count, 15, 1, 16)) - 0.25
    for sequence, label in zip(x, labels, strict=True):
        onset, centre = draw.integers(0, 9), draw.uniform(5, 10)
        for t in range(7):
            band = centre + (1, -1, 0)[label] * (t - 3)
            sequence[onset + t, 0] += 2 * np.exp(-((np.arange(16) - band) ** 2) / 2)
    return x.astype(np.float32), labels.astype(np.int32)


@pytest.mark.slow
def test_it_learns_to_tell_glides_apart_whenever_they_begin(model, apply, draw, rng):
    x, labels = glides(draw, 90)
    optimizer = optax.sgd(0.1, momentum=0.9)

    def loss(params):
        return squared_error(apply(params, x), labels).mean()

    @jax.jit
    def train(key):
        params = model.init(key, x[:1], train=False)["params"]

        def step(_, carry):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 600, step, (params, optimizer.init(params)))[0]

    learned = train(rng)
    unseen, right = glides(draw, 120)
    assert (np.argmax(apply(learned, unseen), -1) == right).mean() > 0.95


def test_there_is_a_row_of_units_for_every_class(model):
    five = cnn_jax.create_model("tdnn", num_classes=5)
    assert trace_output(five, 2) == (2, 5)
    assert trace_variables(five)["params"]["hidden2"]["kernel"].shape == (5, 1, 8, 5)
    with pytest.raises(UserError, match="output: it adds up one unit a class; 3 classes"):
        cnn_jax.without(model, "hidden2")
    wide = jax.ShapeDtypeStruct((1, 15, 2, 16), jnp.float32)
    with pytest.raises(ValueError, match=r"hidden1: it takes sequences .* \(15, 2, 16\)"):
        jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), wide)
    short = model.clone(input_shape=(6, 1, 16))
    with pytest.raises(ValueError, match="hidden2: a window of 5 does not fit 4"):
        trace_output(short)
