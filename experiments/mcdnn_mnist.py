"""Columns of a multi-column network for digits, one a width of the digits.

Source: Ciresan et al. 2012, Section 3.1: seven kinds of columns, for digits as they are and
    for digits 10, 12, 14, 16, 18 and 20 pixels wide, five of each kind; digits are
    translated, rotated, scaled and distorted elastically anew in every epoch; a column
    trains one image at a time for 800 epochs at a rate of 0.001 that falls by the factor
    0.993 each epoch, to no less than 0.00003.
    Ours: how far digits are moved (about what Ciresan et al. 2010, Deep, Big, Simple Neural
    Nets for Handwritten Digit Recognition, take: 15 degrees, 15 % and elastic fields like
    Simard's; from memory), batches of 50, ten epochs, momentum and one cycle of the rate.

A column a run, then their vote::

    cnn-jax train mcdnn_mnist --data-dir path/to/mnist
    cnn-jax train mcdnn_mnist_width10 --data-dir path/to/mnist
    cnn-jax evaluate runs/mcdnn_mnist*/* --ensemble --data-dir path/to/mnist
"""

import dataclasses

from cnn_jax import Experiment, create_model
from cnn_jax.data.elastic import ElasticDistortion
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.data.similarity import SimilarityDistortion
from cnn_jax.data.width_normalized import WIDTHS
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.training.losses import cross_entropy

_column = Experiment(
    question="How well does one column read digits?",
    source="Ciresan et al. 2012, Section 3.1; length, schedule and amounts are ours",
    model=create_model("mcdnn_mnist"),
    dataset="mnist",
    normalization=Normalization(),
    augmentation=(
        SimilarityDistortion(translation=2.0, scaling=0.15, rotation=15.0),
        ElasticDistortion(alpha=34.0, sigma=4.0),
    ),
    loss=cross_entropy,
    optimizer=Sgd(momentum=0.9),
    schedule=OneCycle(peak_rate=0.01, epochs=10),
    epochs=10,
    batch_size=50,
    seed=0,
)

EXPERIMENTS = {"mcdnn_mnist": _column} | {
    f"mcdnn_mnist_width{width}": dataclasses.replace(
        _column, dataset=f"mnist_width{width}", seed=width
    )
    for width in WIDTHS
}
