"""Does a wider ZFNet do better? More maps in layers 3 to 5, more or fewer units in 6 and 7.

Source: Zeiler and Fergus. Visualizing and Understanding Convolutional Networks. ECCV 2014,
    Table 3, the rows that are ZFNet's.
Reads: test error in percentage points above ``full``, paired by seed.

``cifar10`` trains ``zfnet_small``, every width an eighth of the printed one, with the data
and the recipe of the AlexNet study; the recipe was not chosen for this network.
"""

from dataclasses import replace

from cnn_jax import Arm, PublishedColumn, Study, create_model
from cnn_jax.study.edits import scale, unchanged

from .alexnet_baselines import DESCRIPTIONS
from .alexnet_baselines import SETTINGS as ALEXNET
from .imagenet_zfnet import EXPERIMENTS as PRINTED

_TABLE_3 = "Zeiler & Fergus 2014, Table 3, ImageNet 2012"
_WIDE = {"conv3": 512 / 384, "conv4": 1024 / 384, "conv5": 512 / 256}

STUDY = Study(
    title="ZFNet widths",
    question="How much test error do wider layers save in a ZFNet, and where?",
    source="Zeiler & Fergus 2014, Table 3",
    settings={
        "cifar10": replace(
            ALEXNET["cifar10"],
            question="How well does the small ZFNet classify small photographs?",
            source="Zeiler & Fergus 2014, Figure 3; the recipe is ours",
            model=create_model("zfnet_small"),
        ),
        "imagenet2012": PRINTED["zfnet_imagenet"],
    },
    descriptions={
        "cifar10": DESCRIPTIONS["cifar10"],
        "imagenet2012": "ImageNet 2012, the paper's network and recipe",
    },
    baseline="full",
    arms={
        "full": Arm("full", unchanged),
        "fc_half": Arm("6,7 half", scale(fc6=0.5, fc7=0.5)),  # 2048 units in Table 3
        "fc_double": Arm("6,7 double", scale(fc6=2.0, fc7=2.0)),  # 8192 units
        "wide": Arm("3,4,5 wide", scale(**_WIDE)),  # 512, 1024, 512 maps
        "wide_fc_double": Arm("3,4,5 wide, 6,7 double", scale(fc6=2.0, fc7=2.0, **_WIDE)),
    },
    published=(
        PublishedColumn(
            title="train top-1 %",
            source=f"{_TABLE_3} training",
            values={
                "full": 33.1,
                "fc_half": 38.2,
                "fc_double": 22.0,
                "wide": 18.8,
                "wide_fc_double": 10.0,
            },
        ),
        PublishedColumn(
            title="top-1 %",
            source=f"{_TABLE_3} validation",
            values={
                "full": 38.4,
                "fc_half": 40.2,
                "fc_double": 38.8,
                "wide": 37.5,
                "wide_fc_double": 38.3,
            },
        ),
        PublishedColumn(
            title="top-5 %",
            source=f"{_TABLE_3} validation",
            values={
                "full": 16.5,
                "fc_half": 17.6,
                "fc_double": 17.0,
                "wide": 16.0,
                "wide_fc_double": 16.9,
            },
        ),
    ),
    printed="imagenet2012",
    seeds=5,
)
