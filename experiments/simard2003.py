"""The network of Simard, Steinkraus and Platt on elastically distorted digits.

From the paper, Sections 2 and 3: 29 x 29 images, a new distortion (sigma 4, alpha 34)
whenever an image is seen, cross-entropy, a rate of 0.005 that is multiplied by 0.3 every
100 epochs.

Departures: batches of 32 with momentum 0.9 (the paper: one image at a time); 400 epochs,
as the paper does not say how many; 55,000 of the 60,000 training images, the rest to
validate; pixels normalised to mean 0 and deviation 1. It takes hours on two cores:
``--epochs 40`` shrinks the schedule with the run.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.elastic import ElasticDistortion
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import StepDecay
from cnn_jax.training.losses import cross_entropy

EXPERIMENTS = {
    "simard2003_mnist": Experiment(
        question="How well does a network read digits when trained on distorted ones?",
        source="Simard et al. 2003, Sections 2 and 3",
        model=create_model("simard2003"),
        dataset="mnist",
        normalization=Normalization(),
        augmentation=(ElasticDistortion(alpha=34.0, sigma=4.0),),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9),
        schedule=StepDecay(rate=0.005, factor=0.3, at_epochs=(100, 200, 300)),
        epochs=400,
        batch_size=32,
        seed=0,
    )
}
