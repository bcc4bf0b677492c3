"""LeNet-5 as printed in 1998, on handwritten digits, without and with distortions.

From the paper, Sections II and III: the network with 60,000 parameters and its output of
distances; the loss of equation 9; 28 x 28 digits centred in 32 x 32, background -0.1 and
ink 1.175; distortions of the kinds of Section III.B, drawn anew whenever an image is seen.

Departures: batches of 64 with momentum and one cycle of the rate (the paper: one image at
a time, 20 passes, rates falling from 5e-4 to 1e-5, each divided by a running estimate of
the second derivative); 55,000 of the 60,000 training images, the rest to validate; how far
distortions go and the penalty of the rubbish class are our choice.
"""

from dataclasses import replace

from cnn_jax import Experiment, create_model
from cnn_jax.data.affine import AffineDistortion
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.training.map_loss import MaximumAPosteriori

PLAIN = Experiment(
    question="How well does the LeNet-5 of 1998 read digits, as it is printed?",
    source="LeCun et al. 1998, Sections II and III; the optimizer is ours",
    model=create_model("lenet5"),
    dataset="mnist",
    normalization=Normalization(mean="none", deviation="none", levels=(-0.1, 1.175)),
    augmentation=(),
    loss=MaximumAPosteriori(rubbish=1.0),
    optimizer=Sgd(momentum=0.9),
    schedule=OneCycle(peak_rate=0.005, epochs=20),
    epochs=20,
    batch_size=64,
    seed=0,
)

DISTORTED = replace(
    PLAIN,
    question="How much do distorted training images help the LeNet-5 of 1998?",
    augmentation=(
        AffineDistortion(translation=1.5, scaling=0.15, squeezing=0.1, shearing=0.25),
    ),
    schedule=OneCycle(peak_rate=0.004, epochs=40),
    epochs=40,
)

EXPERIMENTS = {
    "lenet5_1998_mnist": PLAIN,
    "lenet5_1998_mnist_distorted": DISTORTED,
}
