"""Fixed wavelets and a linear classifier on handwritten digits.

Source: Bruna and Mallat 2013, Section 4.1 (MNIST; their classifier is another); the
    recipe is ours.
Reads: test error; nothing in front of the linear layer is learned.

The coefficients are computed anew in every step: two cores do some thousand images a
second, and augmentation stays possible.
"""

from cnn_jax import Experiment, create_model
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.training.losses import cross_entropy

EXPERIMENTS = {
    "scattering_mnist": Experiment(
        question="How well can digits be told apart by wavelets and one linear layer?",
        source="Bruna and Mallat 2013, Section 4.1; the recipe is ours",
        model=create_model("scattering"),
        dataset="mnist",
        normalization=Normalization(),
        augmentation=(),
        loss=cross_entropy,
        optimizer=Sgd(momentum=0.9, weight_decay=5e-4, decay_biases=False),
        schedule=OneCycle(peak_rate=0.01, epochs=4),
        epochs=4,
        batch_size=128,
        seed=0,
    )
}
