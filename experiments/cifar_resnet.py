"""The CIFAR-10 recipe of He et al. 2016, and that of stochastic depth.

He et al. 2016, Section 4.2: batches of 128, rate 0.1 divided by 10 after 32,000 and 48,000
of 64,000 iterations, momentum 0.9, weight decay 1e-4, 45,000 images to train on and 5,000
to validate, 4 pixels of padding with random crops, flips, the mean image subtracted.

Huang et al. 2016, Section 4: 500 epochs, rate 0.1 divided by 10 after 250 and 375, Nesterov
momentum 0.9, the same batches, decay and augmentation; the last block survives with 0.5.

The ResNet of 110 layers, and that of 1202 which is "trained as described above", begin at a
rate of 0.01 until the training error is below 80 %, "about 400 iterations": here for 400.
Padding is black, and the mean image is subtracted after the crop.
"""

from dataclasses import replace

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip, ShiftedCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.residual import BasicBlock, stack
from cnn_jax.layers.residual_network import Table
from cnn_jax.layers.rows import Conv
from cnn_jax.models.resnet import END
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import StepDecay
from cnn_jax.optim.warmup import Warmup
from cnn_jax.training.losses import cross_entropy

BATCH = 128
EPOCH = 45_000 / BATCH  # iterations


def recipe(name: str) -> Experiment:
    """Return the paper's training run of the network of that name."""
    return Experiment(
        question=f"How well does {name} classify small photographs?",
        source="He et al. 2016, Section 4.2",
        model=create_model(name),
        dataset="cifar10",
        normalization=Normalization(mean="pixel", deviation="none"),
        augmentation=(ShiftedCrop(padding=4), HorizontalFlip()),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=1e-4),
        schedule=StepDecay(
            rate=0.1, factor=0.1, at_epochs=(32_000 / EPOCH, 48_000 / EPOCH)
        ),
        epochs=64_000 / EPOCH,
        batch_size=BATCH,
        seed=0,
    )


def warmed_recipe(name: str) -> Experiment:
    """Return the recipe with the first 400 iterations at a tenth of the rate."""
    experiment = recipe(name)
    warmup = Warmup(experiment.schedule, epochs=400 / EPOCH, start=0.1, shape="constant")
    return replace(experiment, schedule=warmup)


DEPTHS = (20, 32, 44, 56)
EXPERIMENTS = {
    **{f"plain{depth}_cifar10": recipe(f"plain{depth}") for depth in (*DEPTHS, 110)},
    **{f"resnet{depth}_cifar10": recipe(f"resnet{depth}") for depth in DEPTHS},
    **{f"resnet{depth}_cifar10": warmed_recipe(f"resnet{depth}") for depth in (110, 1202)},
    "resnet110_stochastic_depth_cifar10": replace(
        recipe("resnet110"),
        question="Does leaving blocks out by chance help a ResNet of 110 layers?",
        source="Huang et al. 2016, Section 4",
        model=create_model("resnet110", survival=0.5),
        optimizer=Sgd(momentum=0.9, weight_decay=1e-4, nesterov=True),
        schedule=StepDecay(rate=0.1, factor=0.1, at_epochs=(250.0, 375.0)),
        epochs=500.0,
    ),
}

# For two cores: half the channels, and conv1 with stride 2, so that maps are 16, 8 and 4
# pixels wide. Names, number and kind of layers are the paper's; it costs 1/16.
_SMALL_STAGES = (
    BasicBlock("conv2", 8, 1),
    BasicBlock("conv3", 16, 2),
    BasicBlock("conv4", 32, 2),
)


def small_table(n: int) -> Table:
    """Return the rows of the network of 6 ``n`` + 2 layers at 1/16 of its cost."""
    return (Conv("conv1", 8, 3, 2, 1), *stack(_SMALL_STAGES, (n, n, n)), *END)


def small_recipe(name: str, n: int, epochs: float) -> Experiment:
    """Return the recipe for the small network on 10,000 images, in batches of 64."""
    return replace(
        recipe(name),
        source="He et al. 2016, Section 4.2; network and run scaled down by us",
        model=create_model(name, table=small_table(n)),
        train_examples=10_000,
        schedule=StepDecay(rate=0.1, factor=0.1, at_epochs=(epochs / 2, epochs * 3 / 4)),
        epochs=epochs,
        batch_size=64,
    )
