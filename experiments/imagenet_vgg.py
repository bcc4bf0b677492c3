"""VGG on ImageNet 2012: the recipe of Simonyan & Zisserman 2015, Section 3.1, S = 256.

What stands here instead of what the paper did:

- all start from Glorot and Bengio's weights, which the paper found to do as well
  (``cnn_jax/models/vgg.py``, Departures); B to E from a trained A, as it was done, are in
  ``imagenet_vgg_staged.py``;
- crops come from the whole image with a short side of S: here from its central square;
- dense evaluation of whole images: while training, one central crop; afterwards
  ``cnn-jax evaluate --protocol dense``.

S = 384 and S drawn from [256, 512] are in ``imagenet_vgg_scales.py``.

The rate is divided by 10 "when the validation set accuracy stopped improving", three times
in 74 epochs (370,000 steps): here after 5 epochs that improve the validation error by no
more than 0.1 percentage points (the paper prints no such numbers), three times at most.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.cropping import RandomCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.training.losses import cross_entropy

EXPERIMENTS = {
    f"{name}_imagenet": Experiment(
        question=f"How well does {name} classify ImageNet?",
        source="Simonyan & Zisserman 2015, Section 3.1",
        model=create_model(name),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="channel", deviation="none", white=255),
        augmentation=(RandomCrop(224, 224), HorizontalFlip(), PcaColourNoise(0.1)),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=5e-4),
        schedule=ReduceOnPlateau(
            rate=0.01, factor=0.1, patience=5, min_improvement=0.001, min_rate=1e-5
        ),
        epochs=74,
        batch_size=256,
        seed=0,
    )
    for name in ("vgg_a", "vgg_a_lrn", "vgg_b", "vgg_c", "vgg_d", "vgg_e")
}
