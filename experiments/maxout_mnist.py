"""Maxout units or rectifiers, both with dropout? The convolutional networks on digits.

Source: Goodfellow et al. 2013, Section 5.1 (0.45 % errors on MNIST), and Section 7, where
    maxout is held against rectifiers. Dropout as in the authors' configuration; their bound
    of 1.9365 on the norm of a unit's weights holds for all layers here, theirs is 0.9 for
    the first. Rate, schedule, initial weights (half of He's deviation) and the bound on the
    gradient are ours: the authors train for hundreds of epochs, from weights within 0.005
    of 0. From He's weights, or without the bound, the maxout network diverged.
Reads: test error in percentage points above the rectifiers', paired by seed. The
    rectifier network has as many units in every layer, and so half the filters or fewer.

The setting ``mnist`` has 4,000 images: a pass over all 55,000 takes minutes on two cores.
"""

from functools import partial

from cnn_jax import Arm, Experiment, PublishedColumn, Study, create_model
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.initializers import he
from cnn_jax.models.maxout_mnist import TABLE, rectified
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.regularization import ClipByGlobalNorm, MaxNorm
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, change_model, unchanged
from cnn_jax.training.losses import cross_entropy

_mnist = Experiment(
    question="How well does the network do with rectifiers and dropout?",
    source="Goodfellow et al. 2013, Section 5.1; images, length and schedule are ours",
    model=create_model(
        "maxout_mnist",
        table=rectified(TABLE, same_filters=False),
        initializer=partial(he, slope=3**0.5),
    ),
    dataset="mnist",
    train_examples=4_000,
    normalization=Normalization(mean="none", deviation="none"),
    augmentation=(),
    loss=cross_entropy,
    optimizer=Sgd(momentum=0.9, clip=ClipByGlobalNorm(1.0), max_norm=MaxNorm(1.9365)),
    schedule=OneCycle(peak_rate=0.05, epochs=6),
    epochs=6,
    batch_size=50,
    seed=0,
)
_digits = change(
    dataset="digits",
    train_examples=None,
    schedule=OneCycle(peak_rate=0.05, epochs=15),
    epochs=15,
)(_mnist)

STUDY = Study(
    title="Maxout against rectifiers",
    question="Do maxout units read digits better than rectifiers, both with dropout?",
    source="Goodfellow et al. 2013, Sections 5.1 and 7",
    settings={"mnist": _mnist, "digits": _digits},
    descriptions={"mnist": "4,000 training images, not augmented"},
    baseline="rectifier",
    arms={
        "rectifier": Arm("rectifiers and dropout", unchanged),
        "maxout": Arm("maxout and dropout", change_model(table=TABLE)),
    },
    published=(
        PublishedColumn(
            title="MNIST %",
            source="Goodfellow et al. 2013, Section 5.1, all images",
            values={"maxout": 0.45},
        ),
    ),
    seeds=5,
)
