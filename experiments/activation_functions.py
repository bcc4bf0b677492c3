"""Which nonlinearity trains best? The lectures' seven, in one LeNet-5.

Source: Vilaplana, Convolutional Neural Networks, "Activation layer" (sigmoid, tanh, ReLU,
    leaky ReLU, PReLU, ELU, maxout).
Reads: test error in percentage points above tanh, the network's own, paired by seed. The
    peak rate is one that every arm survives: at 0.05 all maxout runs diverged on digits.
"""

from cnn_jax import Arm, Experiment, Study, create_model
from cnn_jax.data.augmentation import ShiftedCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers import activations
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, change_model, unchanged
from cnn_jax.training.losses import cross_entropy

_digits = Experiment(
    question="How well does lenet5_modern do?",
    source="the recipe is ours",
    model=create_model("lenet5_modern"),
    dataset="digits",
    normalization=Normalization(),
    augmentation=(ShiftedCrop(padding=2),),
    loss=cross_entropy,
    optimizer=Sgd(momentum=0.9, weight_decay=5e-4),
    schedule=OneCycle(peak_rate=0.02, epochs=15),
    epochs=15,
    batch_size=50,
    seed=0,
)
_mnist = change(
    dataset="mnist", schedule=OneCycle(peak_rate=0.02, epochs=3), epochs=3, batch_size=128
)(_digits)

STUDY = Study(
    title="Activation functions",
    question="How much does the nonlinearity matter in a LeNet-5?",
    source="Vilaplana, Convolutional Neural Networks (lecture), activation layers",
    settings={"digits": _digits, "mnist": _mnist},
    baseline="tanh",
    arms={
        "sigmoid": Arm("sigmoid", change_model(activation=activations.sigmoid)),
        "tanh": Arm("tanh", unchanged),
        "relu": Arm("ReLU", change_model(activation=activations.relu)),
        "leaky_relu": Arm("leaky ReLU", change_model(activation=activations.leaky_relu)),
        "prelu": Arm("PReLU", change_model(activation=activations.PReLU)),
        "elu": Arm("ELU", change_model(activation=activations.elu)),
        "maxout": Arm("maxout, 2 pieces", change_model(activation=activations.Maxout(2))),
    },
    notes=("Maxout has two affine maps a unit, and so about twice the parameters.",),
    seeds=5,
)
