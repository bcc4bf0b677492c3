"""Does depth help, and does local response normalisation? VGG A, A-LRN, B, C, D and E.

Source: Simonyan and Zisserman. Very Deep Convolutional Networks for Large-Scale Image
    Recognition. ICLR 2015, Tables 1 and 3 (S = Q = 256).
Reads: test error in percentage points above ``a``, paired by seed.

The settings hold configuration E; the arms take layers out of it. ``cifar10`` has images
of 32 x 32 pixels and an eighth of every width (maps 8, 16, 32, 64, 64, fully connected
512), so that pool5 leaves 1 x 1 pixels; its weights start from He et al. 2015. The recipe
is the AlexNet study's with a lower rate for the deeper networks, not chosen by trial.
"""

from dataclasses import replace
from functools import partial

import cnn_jax
from cnn_jax import Arm, Experiment, PublishedColumn, Study, create_model
from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import Conv, Dense, LocalResponseNorm
from cnn_jax.optim.schedules import OneCycle
from cnn_jax.study.edits import remove, unchanged

from .alexnet_baselines import DESCRIPTIONS
from .alexnet_baselines import SETTINGS as ALEXNET
from .imagenet_vgg import EXPERIMENTS as PRINTED

_FOURS = ("conv3_4", "conv4_4", "conv5_4")
_THREES = ("conv3_3", "conv4_3", "conv5_3")
_TWOS = ("conv1_2", "conv2_2")

_a = remove(*_FOURS, *_THREES, *_TWOS)
_b = remove(*_FOURS, *_THREES)
_d = remove(*_FOURS)


def _a_lrn(experiment: Experiment) -> Experiment:
    """Return A with a normalisation after its first convolution."""
    model = _a(experiment).model
    first, *others = model.table
    table = (first, LocalResponseNorm("lrn"), *others)
    return replace(experiment, model=model.clone(table=table))


def _c(experiment: Experiment) -> Experiment:
    """Return D with 1 x 1 windows in its third layers."""
    model = _d(experiment).model
    rows = {row.name: row for row in model.table}
    ones = {name: replace(rows[name], kernel=1, padding=0) for name in _THREES}
    return replace(experiment, model=cnn_jax.replace(model, **ones))


_E = create_model("vgg_e", input_shape=(32, 32, 3), num_classes=10, initializer=he)
_EIGHTH = {r.name: r.features // 8 for r in _E.table if isinstance(r, Conv | Dense)}
_TABLE_3 = "Simonyan & Zisserman 2015, Table 3, S = Q = 256, ImageNet 2012 validation"
_column = partial(PublishedColumn, source=_TABLE_3)

STUDY = Study(
    title="VGG depth",
    question="How much test error do more convolutions save in a VGG network?",
    source="Simonyan & Zisserman 2015, Tables 1 and 3",
    settings={
        "cifar10": replace(
            ALEXNET["cifar10"],
            question="How well does a narrow VGG E classify small photographs?",
            source="Simonyan & Zisserman 2015, Table 1; the recipe is ours",
            model=cnn_jax.resize(_E, **_EIGHTH),
            schedule=OneCycle(peak_rate=0.02, epochs=20),
        ),
        "imagenet2012": PRINTED["vgg_e_imagenet"],
    },
    descriptions={
        "cifar10": DESCRIPTIONS["cifar10"],
        "imagenet2012": "ImageNet 2012, the paper's networks and recipe",
    },
    baseline="a",
    arms={
        "a": Arm("A, 11 layers", _a),
        "a_lrn": Arm("A-LRN, 11 layers", _a_lrn),
        "b": Arm("B, 13 layers", _b),
        "c": Arm("C, 16 layers, 1x1", _c),
        "d": Arm("D, 16 layers", _d),
        "e": Arm("E, 19 layers", unchanged),
    },
    published=(
        _column(
            title="top-1 %",
            values={"a": 29.6, "a_lrn": 29.7, "b": 28.7, "c": 28.1, "d": 27.0, "e": 27.3},
        ),
        _column(
            title="top-5 %",
            values={"a": 10.4, "a_lrn": 10.5, "b": 9.9, "c": 9.4, "d": 8.8, "e": 9.0},
        ),
    ),
    printed="imagenet2012",
    seeds=3,
)
