"""A network with every layer that chance or the other rows of a batch have a say in."""

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augmentation import HorizontalFlip, ShiftedCrop, augment_batch
from cnn_jax.layers.residual import BasicBlock
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import Classifier, Conv, Dense, DropConnectDense
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import Constant
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.parallel import choose_devices, fetch
from cnn_jax.training.state import first_state
from cnn_jax.training.steps import StepOptions, TrainData, make_train_step

EXAMPLES, BATCH = 64, 16
AUGMENTATION = (ShiftedCrop(1), HorizontalFlip())


MODEL = ResidualNetwork(
    num_classes=10,
    input_shape=(6, 6, 1),
    table=(
        Conv("conv1", 4, 3, padding=1),
        BasicBlock("conv2_1", 4),
        GlobalAveragePool("pool"),
        DropConnectDense("fc3", 8),
        Dense("fc4", 8, dropout=0.5),
        Classifier("fc5"),
    ),
    survival=0.5,  # of the one block
)


def positions(step, pieces=1):
    rows = np.random.default_rng(step).permutation(EXAMPLES)[:BATCH]
    return rows.astype(np.int32).reshape(pieces, -1)


def make_data(shape=(6, 6, 1)):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (EXAMPLES, *shape), np.uint8)
    return TrainData(pixels, draw.integers(0, 10, EXAMPLES).astype(np.int32), ((), ()))


def prepare(key, pixels, facts):
    images = pixels.astype(jnp.result_type(float)) / 255  # float64 where JAX has it
    return augment_batch(AUGMENTATION, facts, key, images)


def optimizer(rate=0.05):
    return Sgd(weight_decay=1e-3).build(Constant(rate).build(4.0))


def start(model=MODEL, *, averaged=False, plateau=()):
    """The first state, its variables in JAX's default type; NumPy draws them."""
    draw = np.random.default_rng(1)

    def fill(path, leaf):
        if path[-1].key in ("scale", "var"):
            return np.ones(leaf.shape, jnp.result_type(float))
        scale = np.sqrt(2 / np.prod(leaf.shape[:-1])) if leaf.ndim > 1 else 0.0
        return (scale * draw.standard_normal(leaf.shape)).astype(jnp.result_type(float))

    variables = jax.tree_util.tree_map_with_path(fill, trace_variables(model))
    variables = {"batch_stats": {}} | variables
    return first_state(
        variables, optimizer(), np.uint32(1), averaged=averaged, plateau=plateau
    )


def train(count, strategy, steps, *, pieces=1, model=MODEL, state=None, **options):
    """The losses of all steps and the last parameters and statistics, as NumPy arrays."""
    devices = choose_devices(count, strategy)
    how = StepOptions(axis_name=devices.axis_name, **options)
    step = devices.compile_train_step(
        make_train_step(model, cross_entropy, optimizer(), prepare, how)
    )
    state = devices.place(start(model) if state is None else state)
    data = devices.place(make_data())
    losses = []
    for number in range(steps):
        rows = devices.place_positions(positions(number, pieces))
        state, metrics = step(state, data, rows)
        losses.append(metrics.loss_sum)
    return np.array(fetch(losses)) / BATCH, fetch((state.params, state.batch_stats))


def difference(first, second):
    """The largest difference of two trees, relative to the largest value of its array."""
    leaves = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return max(np.abs(a - b).max() / np.abs(a).max() for a, b in leaves)
