"""What is a trained network worth where examples are few? MNIST first, then 100 digits.

Source: Yosinski, Clune, Bengio and Lipson. How transferable are features in deep neural
    networks? NIPS 2014, Section 2, the question and the two ways: copied layers frozen, or
    fine-tuned. Here at the smallest scale, with ``lenet5_mnist``.
Reads: test error in percentage points above ``scratch``, paired by seed.

The classes are the same ten, the images are not: other writers, and 8 x 8 pixels without a
border. The classifier ``out`` is drawn anew in every arm. The weights come from one run::

    cnn-jax train lenet5_mnist --data-dir path/to/mnist
    cnn-jax study digits_transfer
"""

from cnn_jax import Arm, Experiment, Study
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.experiment.start import StartFrom
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, unchanged
from cnn_jax.training.losses import cross_entropy

from .lenet5_mnist import EXPERIMENTS as PRETRAINING

MNIST = StartFrom(path="runs/lenet5_mnist/mnist-seed0", fresh=("out",))

STUDY = Study(
    title="Transfer to few digits",
    question="How much test error does training on MNIST first save with 100 digits?",
    source="Yosinski et al. 2014, Section 2; the scale is ours",
    settings={
        "digits": Experiment(
            question="How well does a LeNet-5 learn from 100 digits?",
            source="the recipe is ours",
            model=PRETRAINING["lenet5_mnist"].model,
            dataset="digits",
            train_examples=100,
            normalization=Normalization(),
            augmentation=(),
            loss=cross_entropy,
            optimizer=Sgd(momentum=0.9, weight_decay=5e-4),
            schedule=OneCycle(peak_rate=0.02, epochs=30),
            epochs=30,
            batch_size=20,
            seed=0,
        )
    },
    descriptions={"digits": "100 training images of 8 x 8 pixels, 10 of each class"},
    baseline="scratch",
    arms={
        "scratch": Arm("from scratch", unchanged),
        "finetuned": Arm("from MNIST, all layers trained", change(start_from=MNIST)),
        "frozen_features": Arm(
            "from MNIST, classifier trained alone",
            change(start_from=MNIST, freeze=("conv*", "fc*")),
        ),
    },
    notes=("All seeds start from the same run on MNIST.",),
    seeds=5,
)
