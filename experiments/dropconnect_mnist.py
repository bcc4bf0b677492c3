"""Dropped weights, dropped outputs, or neither? The network of Wan et al. on digits.

Source: Wan et al. 2013, Section 6.1 (the network; batches of 128, momentum 0.9). Its runs
    take hundreds of epochs (700-200-100 in the paper's notation); ours are short, so the
    schedule and the rate are ours, and so are He's initial weights of the convolutions:
    the paper's deviation of 0.01 starts slowly.
Reads: test error in percentage points above dropout's, paired by seed. In each arm 150
    units look at 1,024 values of the second pool; only what is dropped differs.

The setting ``mnist`` has 10,000 images: a mask for each weight and image is most of the
work on a CPU, and what is dropped matters more where images are few.
"""

from cnn_jax import Arm, Experiment, PublishedColumn, Study, create_model
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.initializers import he
from cnn_jax.models.dropconnect_mnist import TABLE, with_dropout
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, change_model, unchanged
from cnn_jax.training.losses import cross_entropy

_mnist = Experiment(
    question="How well does the network do with half of its outputs dropped?",
    source="Wan et al. 2013, Section 6.1; images, length and schedule are ours",
    model=create_model("dropconnect_mnist", table=with_dropout(TABLE, 0.5), initializer=he),
    dataset="mnist",
    train_examples=10_000,
    normalization=Normalization(),
    augmentation=(),
    loss=cross_entropy,
    optimizer=Sgd(momentum=0.9),
    schedule=OneCycle(peak_rate=0.02, epochs=10),
    epochs=10,
    batch_size=128,
    seed=0,
)
_digits = change(
    dataset="digits",
    train_examples=None,
    schedule=OneCycle(peak_rate=0.02, epochs=15),
    epochs=15,
    batch_size=50,
)(_mnist)

STUDY = Study(
    title="DropConnect against dropout",
    question="Is it better to drop weights than to drop outputs?",
    source="Wan et al. 2013, Section 6.1",
    settings={"mnist": _mnist, "digits": _digits},
    descriptions={"mnist": "10,000 training images, not augmented"},
    baseline="dropout",
    arms={
        "no_drop": Arm("neither", change_model(table=with_dropout(TABLE, 0.0))),
        "dropout": Arm("dropout, 0.5 of the outputs", unchanged),
        "dropconnect": Arm("DropConnect, 0.5 of the weights", change_model(table=TABLE)),
    },
    published=(
        PublishedColumn(
            title="MNIST %",
            source="Wan et al. 2013, Table 3: 5 networks, augmented, all images",
            values={"dropout": 0.27, "dropconnect": 0.21},
        ),
    ),
    seeds=5,
)
