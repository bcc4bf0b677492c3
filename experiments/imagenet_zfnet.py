"""ZFNet on ImageNet 2012: the recipe of Zeiler & Fergus 2014, Section 3.

What the engine does not offer yet, and what stands here instead:

- training crops are ten fixed ones (corners, centre, mirrored): crops are anywhere;
- the mean image is that of the central crops, not of the whole 256 x 256 pixels.

The rate falls "manually when the validation error plateaus": here it is divided by 10 after
5 epochs that improve the error by no more than 0.1 percentage points. The paper prints
neither these numbers nor a weight decay. A filter of a convolution whose root mean square
exceeds 0.1 is scaled back to 0.1.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip
from cnn_jax.data.cropping import RandomCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.optim.regularization import MaxNorm
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
        optimizer=Sgd(
            momentum=0.9,
            weight_decay=0.0,
            max_norm=MaxNorm(0.1, on=("conv*",), root_mean_square=True),
        ),
        schedule=ReduceOnPlateau(rate=0.01, factor=0.1, patience=5, min_improvement=0.001),
        epochs=70,
        batch_size=128,
        seed=0,
    )
    for name in ("zfnet", "zfnet_wide")
}
