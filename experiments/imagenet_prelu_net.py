"""PReLU-nets on ImageNet 2012: the recipe of He et al. 2015, Section 3.

What stands here instead of what the paper did:

- crops come from the whole image, its short side drawn from [256, 512]: here from its
  central square, which is kept at 256 x 256 pixels (a longer side is enlarged from these);
- the mean image is that of the central crops;
- evaluation on views of feature maps at several scales: while training, one central crop;
  afterwards ``cnn-jax evaluate --protocol multi-scale``.

The rate is 0.01, 0.001 and 0.0001, "switched when the error plateaus", in about 80 epochs:
here after 5 epochs that improve the validation error by no more than 0.1 percentage points
(the paper prints no such numbers). Weight decay is on all parameters but the slopes.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.data.resized_crop import ScaleJitter
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.optim.regularization import Penalty
from cnn_jax.training.losses import cross_entropy

EXPERIMENTS = {
    f"{name}_imagenet": Experiment(
        question=f"How well does {name} classify ImageNet?",
        source="He et al. 2015, Section 3",
        model=create_model(name),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="pixel", deviation="none", white=255),
        augmentation=(
            ScaleJitter(256, 512, 224),
            HorizontalFlip(),
            PcaColourNoise(0.1),
        ),
        loss=cross_entropy,
        optimizer=Sgd(
            momentum=0.9, penalties=(Penalty(l2=5e-4, on=("*/kernel", "*/bias")),)
        ),
        schedule=ReduceOnPlateau(
            rate=0.01, factor=0.1, patience=5, min_improvement=0.001, min_rate=1e-4
        ),
        epochs=80,
        batch_size=128,
        seed=0,
    )
    for name in ("prelu_net_a", "prelu_net_b", "prelu_net_c")
}
