"""Which layers carry AlexNet? Remove them, train again, compare.

Source: Zeiler and Fergus. Visualizing and Understanding Convolutional Networks. ECCV 2014,
    Table 3, the rows that are AlexNet's; Fergus's tutorial, as the lecture quotes it
    (Salakhutdinov, ConvNets II).
Reads: test error in percentage points above ``full``, paired by seed.
"""

from cnn_jax import Arm, PublishedColumn, Study
from cnn_jax.study.edits import remove, scale, unchanged

from .alexnet_baselines import DESCRIPTIONS, SETTINGS

_TABLE_3 = "Zeiler & Fergus 2014, Table 3, ImageNet 2012 validation"

# fmt: off
TOP_1 = PublishedColumn(title="top-1 %", source=_TABLE_3, values={
    "full": 40.5, "without_7": 40.0, "without_6_7": 44.8, "without_3_4": 45.4,
    "without_3_4_6_7": 71.3, "fc_half": 41.7, "fc_double": 40.0,
})
TOP_5 = PublishedColumn(title="top-5 %", source=_TABLE_3, values={
    "full": 18.1, "without_7": 18.4, "without_6_7": 22.4, "without_3_4": 22.1,
    "without_3_4_6_7": 50.1, "fc_half": 18.8, "fc_double": 18.1,
})
TUTORIAL = PublishedColumn(
    title="drop, points",
    source="Fergus's tutorial, quoted in the lecture (Salakhutdinov, ConvNets II)",
    values={"without_7": 1.1, "without_3_4_6_7": 33.5},
)
# fmt: on

STUDY = Study(
    title="AlexNet layer removal",
    question="Which layers carry AlexNet: how much test error does removing them cost?",
    source="Zeiler & Fergus 2014, Table 3",
    settings=SETTINGS,
    descriptions=DESCRIPTIONS,
    baseline="full",
    arms={
        "full": Arm("full", unchanged),
        "without_7": Arm("-7", remove("fc7")),
        "without_6_7": Arm("-6,7", remove("fc6", "fc7")),
        "without_3_4": Arm("-3,4", remove("conv3", "conv4")),
        "without_3_4_6_7": Arm("-3,4,6,7", remove("conv3", "conv4", "fc6", "fc7")),
        "fc_half": Arm("6,7 half", scale(fc6=0.5, fc7=0.5)),  # 2048 units in Table 3
        "fc_double": Arm("6,7 double", scale(fc6=2.0, fc7=2.0)),  # 8192 units
    },
    default_arms=("full", "without_7", "without_6_7", "without_3_4", "without_3_4_6_7"),
    published=(TOP_1, TOP_5, TUTORIAL),
    printed="imagenet2012",
    seeds=5,
)
