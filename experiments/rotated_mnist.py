"""What are rotated copies of a filter worth where digits stand at any angle?

Source: Cohen and Welling 2016, Section 8.1 and Table 1: the same seven layers on the plane
    and on p4, with about the same number of parameters.
Reads: test error in percentage points below ``z2cnn``, paired by seed.

The recipe is that of the authors' programs (github.com/tscohen/gconv_experiments): Adam at
0.001, 128 images a step, one mean and deviation for all pixels, no weight decay.
Departures: 20 epochs with the rate in one cycle up to 0.005, where they take 300 epochs
(plane) and 100 (p4) at one rate; no dropout, which they have on the plane alone and which
so few epochs do not repay (arm ``z2cnn_dropout``); 10,000 training images, where their last
runs take the 2,000 of the validation split as well; no random turns while training, which
their last program has.

    cnn-jax study rotated_mnist --data-dir path/to/mnist
"""

import dataclasses

from cnn_jax import Arm, Experiment, PublishedColumn, Study, create_model
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.group_network import GroupConv
from cnn_jax.models.gcnn_rotated_mnist import Z2CNN_TABLE
from cnn_jax.optim.optimizers import Adam
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, change_model, unchanged
from cnn_jax.training.losses import cross_entropy

_WITHOUT_DROPOUT = tuple(
    dataclasses.replace(row, dropout=0.0) if isinstance(row, GroupConv) else row
    for row in Z2CNN_TABLE
)

STUDY = Study(
    title="Rotated digits on the plane and on p4",
    question="How much test error do filters in four orientations save on rotated MNIST?",
    source="Cohen & Welling 2016, Table 1",
    settings={
        "rotated_mnist": Experiment(
            question="How well does the planar network read rotated digits?",
            source="Cohen & Welling 2016, Section 8.1",
            model=create_model("z2cnn", table=_WITHOUT_DROPOUT),
            dataset="rotated_mnist",
            normalization=Normalization(),
            augmentation=(),
            loss=cross_entropy,
            optimizer=Adam(),
            schedule=OneCycle(peak_rate=0.005, epochs=20),
            epochs=20,
            batch_size=128,
            seed=0,
        )
    },
    descriptions={"rotated_mnist": "10,000 training images, 50,000 test images, 20 epochs"},
    baseline="z2cnn",
    arms={
        "z2cnn": Arm("plane", unchanged),
        "p4cnn": Arm("p4", change(model=create_model("p4cnn"))),
        "z2cnn_dropout": Arm("plane, dropout 0.3", change_model(table=Z2CNN_TABLE)),
        "rotation_pooling": Arm(
            "p4, largest orientation after each layer",
            change(model=create_model("p4cnn_rotation_pooling")),
        ),
    },
    default_arms=("z2cnn", "p4cnn"),
    published=(
        PublishedColumn(
            title="rotated MNIST %",
            source="Cohen & Welling 2016, Table 1: 12,000 training images, 100 to 300"
            " epochs, dropout on the plane",
            values={"z2cnn": 5.03, "p4cnn": 2.28, "rotation_pooling": 3.21},
        ),
    ),
    printed="rotated_mnist",
    notes=("The set is made anew from MNIST; the paper's is a file of 2007.",),
    seeds=3,
)
