"""The lecture's deer: is a pattern found where it was never shown? Digits, moved.

Source: Deep Learning Basics (Johns Hopkins University), "The Image Classification Problem:
    Revisited" and "Shift Invariance: Scanning for Patterns". An MLP that saw the deer in
    one image will not find it in the other, "unless trained on both".
Reads: test error where the digits were shown; then, for the same runs, the error against
    the distance by which they are moved, which is what the question is about::

    cnn-jax study shift_invariance --data-dir DIR
    cnn-jax invariance runs/shift_invariance/mnist/*-seed0 --data-dir DIR --shift 8

The digits stand in the middle of 36 x 36 pixels: 5 pixels in any direction leave 99 of 100
whole; 8 cut some ink off three of four, in one direction or another. MLP and CNN have
nearly equal numbers of parameters, 83,658 and 83,038; the scanning MLP, whose window is
20 x 20, has 30,474.
"""

from cnn_jax import Arm, Experiment, Study, create_model
from cnn_jax.data.augmentation import ShiftedCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.activations import relu
from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import change, unchanged
from cnn_jax.training.losses import cross_entropy

MLP = create_model(
    "mlp",
    input_shape=(36, 36, 1),
    table=(Dense("hidden", 64), Classifier("output")),
    activation=relu,
    initializer=he,
)
CNN = create_model(
    "lenet5_modern",
    input_shape=(36, 36, 1),
    table=(
        Conv("conv1", 16, 5),  # 36 -> 32
        MaxPool("pool1", 2, 2),
        Conv("conv2", 32, 5),  # 16 -> 12
        MaxPool("pool2", 2, 2),  # 6
        Dense("fc1", 60),
        Classifier("out"),
    ),
    activation=relu,
    initializer=he,
)
SCANNING_MLP = create_model(
    "scanning_mlp", input_shape=(36, 36, 1), activation=relu, initializer=he
)

STUDY = Study(
    title="Shift invariance",
    question="Is a digit read where none was shown in training?",
    source="Deep Learning Basics (lecture), Shift Invariance: Scanning for Patterns",
    settings={
        "mnist": Experiment(
            question="How well does an MLP read digits that are always in the middle?",
            source="Deep Learning Basics (lecture); the recipe is ours",
            model=MLP,
            dataset="mnist",
            normalization=Normalization(),
            augmentation=(),
            loss=cross_entropy,
            optimizer=Sgd(momentum=0.9, weight_decay=5e-4),
            schedule=OneCycle(peak_rate=0.05, epochs=5),
            epochs=5,
            batch_size=128,
            seed=0,
        )
    },
    descriptions={"mnist": "digits in the middle of 36 x 36 pixels, 5 epochs"},
    baseline="mlp",
    arms={
        "mlp": Arm("MLP", unchanged),
        "mlp_shifted": Arm(
            "MLP, trained on shifted digits", change(augmentation=(ShiftedCrop(8),))
        ),
        "cnn": Arm("CNN", change(model=CNN)),
        "scanning_mlp": Arm("scanning MLP", change(model=SCANNING_MLP)),
    },
    notes=("This table is of digits in their place; see cnn-jax invariance.",),
    seeds=3,
)
