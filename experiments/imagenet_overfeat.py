"""OverFeat on ImageNet 2012: the recipe of Sermanet et al. 2014, Section 3.1.

What the engine does not offer yet, and what stands here instead:

- five random crops of an image and their mirror images, all in the minibatches of an
  epoch: one random crop, mirrored or not, an epoch;
- crops come from the whole image with a short side of 256: here from its central square.

The paper says neither how pixels are centred (a mean a channel here) nor when training
stops (10 epochs after the last change of the rate here). Its text has crops of 221 pixels
for both networks; Table 1 has an input of 231 for the fast one, which is what it gets.
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
        source="Sermanet et al. 2014, Section 3.1",
        model=create_model(name),
        dataset="imagenet2012",
        image_size=(256, 256),
        normalization=Normalization(mean="channel", deviation="none", white=255),
        augmentation=(RandomCrop(crop, crop), HorizontalFlip()),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.6, weight_decay=1e-5),
        schedule=StepDecay(rate=0.05, factor=0.5, at_epochs=(30, 50, 60, 70, 80)),
        epochs=90,
        batch_size=128,
        seed=0,
    )
    for name, crop in (("overfeat_fast", 231), ("overfeat_accurate", 221))
}
