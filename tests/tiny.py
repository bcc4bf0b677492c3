"""A network and an experiment small enough to train in a test."""

import dataclasses

from cnn_jax.data.augmentation import HorizontalFlip, ShiftedCrop
from cnn_jax.experiment.declaration import Experiment, Where
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import StepDecay

MODEL = TableNetwork(
    num_classes=10,
    input_shape=(8, 8, 1),
    table=(
        Conv("conv1", 4, 3),
        MaxPool("pool1", 2, 2),
        Conv("conv2", 8, 3, padding=1),
        Dense("fc1", 16, dropout=0.5),
        Classifier("out"),
    ),
)

EXPERIMENT = Experiment(
    question="Does it run?",
    source="made for tests",
    model=MODEL,
    dataset="synthetic",
    augmentation=(ShiftedCrop(padding=1), HorizontalFlip()),
    optimizer=Sgd(momentum=0.9, weight_decay=5e-4),
    schedule=StepDecay(rate=0.05, factor=0.1, at_epochs=(2.0,)),
    epochs=3,
    batch_size=50,  # 512 / 50: batches straddle epochs
    seed=3,
)

QUIET = Where(progress="none")


def variant(**fields):
    """Return the experiment with other fields."""
    return dataclasses.replace(EXPERIMENT, **fields)
