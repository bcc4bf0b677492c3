"""LeNet-5 on handwritten digits: at least 99 % right in under a minute on two cores.

Departures from ``lenet5_modern``: ReLU for tanh and 2 x 2 maxima for means, with weights
from He et al. 2015 for Glorot's. The shapes and the 61,706 parameters are the same.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.activations import relu
from cnn_jax.layers.initializers import he
from cnn_jax.models.lenet5_modern import MAX_POOL_TABLE
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.training.losses import cross_entropy

EXPERIMENTS = {
    "lenet5_mnist": Experiment(
        question="How well does a LeNet-5 read digits after five passes over MNIST?",
        source="LeCun et al. 1998, Figure 2 (shapes); the recipe is ours",
        model=create_model(
            "lenet5_modern", table=MAX_POOL_TABLE, activation=relu, initializer=he
        ),
        dataset="mnist",
        normalization=Normalization(),
        augmentation=(),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=5e-4),
        schedule=OneCycle(peak_rate=0.1, epochs=5),
        epochs=5,
        batch_size=128,
        seed=0,
    )
}
