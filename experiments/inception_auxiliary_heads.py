"""Do GoogLeNet's auxiliary classifiers help? Train with both, with one, with none.

Source: Szegedy et al. 2015, Section 5: two heads, weight 0.3, to strengthen the gradient
    and to regularise. Szegedy et al. 2016, Section 4: training with and without heads
    looks the same until late, and removing the lower one does no harm.
Reads: test error in percentage points above ``both``, paired by seed.

``cifar10`` trains ``googlenet_small`` (every width a quarter, 32 x 32 images; see its
Departures) on 10,000 images; its recipe is ours and was not tuned. ``imagenet2012`` is the
network as printed, with the recipe in ``imagenet_inception.py`` and what that leaves out.
"""

from cnn_jax import Arm, Experiment, Study, create_model
from cnn_jax.data.augmentation import HorizontalFlip, ShiftedCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, remove, unchanged
from cnn_jax.training.losses import cross_entropy

from .imagenet_inception import EXPERIMENTS as IMAGENET

_cifar10 = Experiment(
    question="How well does the small GoogLeNet classify small photographs?",
    source="Szegedy et al. 2015, Sections 5 and 6; the recipe is ours",
    model=create_model("googlenet_small"),
    dataset="cifar10",
    train_examples=10_000,
    normalization=Normalization(),
    augmentation=(ShiftedCrop(padding=4), HorizontalFlip()),
    loss=cross_entropy,
    auxiliary_weight=0.3,
    optimizer=Sgd(momentum=0.9, weight_decay=2e-4, decay_biases=False),
    schedule=OneCycle(peak_rate=0.02, epochs=20),
    epochs=20,
    batch_size=64,
    seed=0,
)

STUDY = Study(
    title="Auxiliary classifiers",
    question="Do the losses of GoogLeNet's auxiliary classifiers lower its test error?",
    source="Szegedy et al. 2015, Section 5; Szegedy et al. 2016, Section 4",
    settings={"cifar10": _cifar10, "imagenet2012": IMAGENET["googlenet_imagenet"]},
    descriptions={
        "cifar10": "CIFAR-10, a fixed balanced subset of 10,000 training images",
        "imagenet2012": "ImageNet 2012, the paper's network",
    },
    baseline="both",
    arms={
        "both": Arm("both heads, weight 0.3", unchanged),
        "upper": Arm("upper head only", remove("aux1")),
        "lower": Arm("lower head only", remove("aux2")),
        "none": Arm("no heads", remove("aux1", "aux2")),
        "weight_1": Arm("both heads, weight 1", change(auxiliary_weight=1.0)),
    },
    default_arms=("both", "none"),
    printed="imagenet2012",
    notes=(
        "Parameters are those of the main network: heads are dropped after training.",
        "No paper prints errors of GoogLeNet with and without heads.",
    ),
    seeds=5,
)
