"""AlexNet at four scales: the baselines that several studies import.

``imagenet2012`` is the paper's network and recipe (Krizhevsky et al. 2012, Sections 4 and
5), its update rule with the rate inside the velocity included. The rate is divided by 10
when the validation error stops improving, three times at most: here after 5 epochs that
improve it by no more than 0.1 percentage points; the paper prints no such numbers. Crops
are 227 of 256 pixels, as the network's input needs, and the mean image is that of the
central crops.

The other three train ``alexnet_small``. Their recipes were chosen on the validation split
of each dataset, with the arm ``full`` alone, before any arms were compared.
"""

from dataclasses import replace

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise, ShiftedCrop
from cnn_jax.data.cropping import RandomCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.training.losses import cross_entropy

_digits = Experiment(
    question="How well does the small AlexNet read digits?",
    source="Krizhevsky et al. 2012, Sections 3 and 4; the recipe is ours",
    model=create_model("alexnet_small", input_shape=(32, 32, 1)),
    dataset="digits",
    normalization=Normalization(),
    augmentation=(ShiftedCrop(padding=1),),
    loss=cross_entropy,
    optimizer=Sgd(momentum=0.9, weight_decay=5e-4),
    schedule=OneCycle(peak_rate=0.03, epochs=15),
    epochs=15,
    batch_size=50,
    seed=0,
)

SETTINGS = {
    "digits": _digits,
    "mnist": replace(
        _digits,
        dataset="mnist",
        schedule=OneCycle(peak_rate=0.03, epochs=3),
        epochs=3,
        batch_size=64,
    ),
    "cifar10": replace(
        _digits,
        question="How well does the small AlexNet classify small photographs?",
        model=create_model("alexnet_small"),
        dataset="cifar10",
        train_examples=10_000,
        augmentation=(ShiftedCrop(padding=4), HorizontalFlip()),
        schedule=OneCycle(peak_rate=0.02, epochs=15),
        epochs=15,
        batch_size=64,
    ),
    "imagenet2012": Experiment(
        question="How well does AlexNet classify ImageNet?",
        source="Krizhevsky et al. 2012, Sections 4 and 5",
        model=create_model("alexnet"),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="pixel", deviation="none", white=255),
        augmentation=(RandomCrop(227, 227), HorizontalFlip(), PcaColourNoise(0.1)),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=5e-4, rate_inside=True),
        schedule=ReduceOnPlateau(
            rate=0.01, factor=0.1, patience=5, min_improvement=0.001, min_rate=1e-5
        ),
        epochs=90,
        batch_size=128,
        seed=0,
    ),
}

DESCRIPTIONS = {
    "digits": "1,797 real handwritten digits that come with scikit-learn, 8 x 8 enlarged",
    "mnist": "MNIST, validation on the last 5,000 training images",
    "cifar10": "CIFAR-10, a fixed balanced subset of 10,000 training images",
    "imagenet2012": "ImageNet 2012, the paper's network and recipe",
}
