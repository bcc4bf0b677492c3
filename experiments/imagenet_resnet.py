"""The ImageNet recipe of He et al. 2016 for the residual networks and their plain twins.

Section 3.4: batches of 256, rate 0.1, momentum 0.9, weight decay 1e-4, no dropout, weights
from He et al. 2015, 60e4 iterations at most, crops of 224 pixels with flips, colours moved
as in Krizhevsky et al. 2012, the mean image subtracted. Weight decay acts on every
parameter, those of batch normalisation included, as in the released networks' framework.

The rate is divided by 10 "when the error plateaus": here after 5 epochs that improve the
validation error by no more than 0.1 percentage points; the paper prints no such numbers.

Crops come from the whole image, its short side resized to a random length in [256, 480]:
here from its central square, which is kept at 256 x 256 pixels (so that a longer side is
enlarged from these) and evaluated on its central 224. The paper tests with 10 crops, or
densely at five scales: ``cnn-jax evaluate --protocol ten-crop`` or ``multi-scale``. The
mean image is that of the central crops.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.data.resized_crop import ScaleJitter
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.training.losses import cross_entropy

BATCH = 256
EPOCHS = 60e4 * BATCH / 1_281_167  # 60e4 iterations: 119.9 passes over ILSVRC-2012


def recipe(name: str) -> Experiment:
    """Return the paper's training run of the network of that name."""
    return Experiment(
        question=f"How well does {name} classify ImageNet?",
        source="He et al. 2016, Section 3.4",
        model=create_model(name),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="pixel", deviation="none"),
        augmentation=(
            ScaleJitter(256, 480, 224),
            HorizontalFlip(),
            PcaColourNoise(0.1),
        ),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=1e-4),
        schedule=ReduceOnPlateau(rate=0.1, factor=0.1, patience=5, min_improvement=0.001),
        epochs=EPOCHS,
        batch_size=BATCH,
        seed=0,
    )


EXPERIMENTS = {
    f"{name}_imagenet": recipe(name)
    for name in (
        "plain18",
        "plain34",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
    )
}
