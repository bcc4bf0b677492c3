"""ZFNet on ImageNet 2012: the recipe of Zeiler & Fergus 2014, Section 3.

What the engine does not offer yet, and what stands here instead:

- the rate falls "manually when the validation error plateaus": divided by 10 at three
  epochs of our choice within the paper's 70;
- training crops are ten fixed ones (corners, centre, mirrored): crops are anywhere;
- a filter of a convolution whose RMS exceeds 0.1 is scaled back to 0.1: left out;
- the mean image is that of the central crops, not of the whole 256 x 256 pixels.

The paper prints no weight decay.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip
from cnn_jax.data.cropping import RandomCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import StepDecay
from cnn_jax.training.losses import cross_entropy

EXPERIMENTS = {
    f"{name}_imagenet": Experiment(
        question=f"How well does {name} classify ImageNet?",
        source="Zeiler & Fergus 2014, Section 3; Figure 3 and Table 3",
        model=create_model(name),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="pixel", deviation="none", white=255),
        augmentation=(RandomCrop(224, 224), HorizontalFlip()),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=0.0),
        schedule=StepDecay(rate=0.01, factor=0.1, at_epochs=(30, 50, 60)),
        epochs=70,
        batch_size=128,
        seed=0,
    )
    for name in ("zfnet", "zfnet_wide")
}
