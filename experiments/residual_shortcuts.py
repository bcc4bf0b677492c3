"""Which shortcut? Identity with zeros (A), projections where needed (B) or everywhere (C).

Source: He et al. 2016, Table 3, 34 layers.
Reads: test error in percentage points above option A, which has no parameters, paired by
    seed.

The setting ``cifar10`` has 20 layers of the paper's CIFAR-10 network at half its width and
on maps half as wide (``cifar_resnet.small_table``), 10,000 images and 12 epochs; the paper
used option A alone there.
"""

from dataclasses import replace

from cnn_jax import Arm, PublishedColumn, Study, create_model
from cnn_jax.study.edits import change_model, unchanged

from .cifar_resnet import small_recipe
from .imagenet_resnet import recipe

_TABLE_3 = "He et al. 2016, Table 3: 34 layers, ImageNet 2012 validation, 10 crops"

STUDY = Study(
    title="Kinds of shortcut",
    question="Which shortcut should a residual block have?",
    source="He et al. 2016, Table 3",
    settings={
        "cifar10": small_recipe("resnet20", 3, 12.0),
        "imagenet2012": replace(
            recipe("resnet34"), model=create_model("resnet34", shortcut="A")
        ),
    },
    descriptions={
        "cifar10": "20 layers at 1/16 of the cost, 10,000 training images",
        "imagenet2012": "34 layers, the paper's network and recipe",
    },
    baseline="option_a",
    arms={
        "plain": Arm("none (plain)", change_model(shortcut="none")),
        "option_a": Arm("A: identity, zeros", unchanged),
        "option_b": Arm("B: projections where needed", change_model(shortcut="B")),
        "option_c": Arm("C: projections", change_model(shortcut="C")),
    },
    published=(
        PublishedColumn(
            title="top-1 %",
            source=_TABLE_3,
            values={
                "plain": 28.54,
                "option_a": 25.03,
                "option_b": 24.52,
                "option_c": 24.19,
            },
        ),
        PublishedColumn(
            title="top-5 %",
            source=_TABLE_3,
            values={"plain": 10.02, "option_a": 7.76, "option_b": 7.46, "option_c": 7.40},
        ),
    ),
    printed="imagenet2012",
    seeds=3,
)
