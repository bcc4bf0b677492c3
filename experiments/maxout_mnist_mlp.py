"""Maxout units or rectifiers, both with dropout? The networks that see no image plane.

Source: Goodfellow et al. 2013, Section 5.1 (0.94 % errors on MNIST with permuted pixels),
    with the authors' dropout, bound of 1.9365 on the norm of a unit's weights and batches
    of 100. Rate, schedule and initial weights (He's for units that pass both signs on) are
    ours. The twin of other authors: Srivastava et al. 2014, Table 2, three layers of 1,024
    rectifiers with dropout and a bound of 2 (1.06 %).
Reads: test error in percentage points above the rectifiers', paired by seed. One rectifier
    network has as many units as the maxout network, the other as many affine maps.
"""

from functools import partial

from cnn_jax import Arm, Experiment, PublishedColumn, Study, create_model
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.initializers import he
from cnn_jax.models.maxout_mnist import MLP_TABLE, rectified
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.regularization import MaxNorm
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, change_model, unchanged
from cnn_jax.training.losses import cross_entropy

_mnist = Experiment(
    question="How well does the network do with rectifiers and dropout?",
    source="Goodfellow et al. 2013, Section 5.1; length and schedule are ours",
    model=create_model(
        "maxout_mnist_mlp",
        table=rectified(MLP_TABLE, same_filters=False),
        initializer=partial(he, slope=1.0),
    ),
    dataset="mnist",
    normalization=Normalization(mean="none", deviation="none"),
    augmentation=(),
    loss=cross_entropy,
    optimizer=Sgd(momentum=0.7, max_norm=MaxNorm(1.9365)),
    schedule=OneCycle(peak_rate=0.1, epochs=15),
    epochs=15,
    batch_size=100,
    seed=0,
)
_digits = change(dataset="digits", batch_size=50)(_mnist)

STUDY = Study(
    title="Maxout against rectifiers, without the image plane",
    question="Do maxout units read digits better than rectifiers, both with dropout?",
    source="Goodfellow et al. 2013, Section 5.1",
    settings={"mnist": _mnist, "digits": _digits},
    baseline="rectifier",
    arms={
        "rectifier": Arm("240 rectifiers a layer", unchanged),
        "rectifier_wide": Arm(
            "1,200 rectifiers a layer",
            change_model(table=rectified(MLP_TABLE, same_filters=True)),
        ),
        "maxout": Arm("240 maxout units of 5 maps", change_model(table=MLP_TABLE)),
    },
    published=(
        PublishedColumn(
            title="MNIST %",
            source="Goodfellow et al. 2013, Section 5.1",
            values={"maxout": 0.94},
        ),
    ),
    seeds=5,
)
