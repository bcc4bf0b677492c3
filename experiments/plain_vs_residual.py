"""Do deeper plain networks get worse, and do shortcuts cure it?

Source: He et al. 2016, Table 2 (ImageNet, 18 and 34 layers) and Figure 6 (CIFAR-10, 20 to
    110 layers). Shortcuts are of option A, so both kinds have the same parameters.
Reads: test error in percentage points above the shallow plain network, paired by seed.
    Degradation is ``plain_deep`` above 0; its cure ``residual_deep`` below
    ``residual_shallow``.

The setting ``cifar10`` has 20 and 56 layers of the paper's CIFAR-10 networks at half their
width and on maps half as wide (``cifar_resnet.small_table``), 10,000 images and 8 epochs.
"""

from cnn_jax import Arm, Experiment, PublishedColumn, Study
from cnn_jax.models.resnet import TABLE_34
from cnn_jax.study.edits import change_model, unchanged

from .cifar_resnet import small_recipe, small_table
from .imagenet_resnet import recipe

_DEEP = {"cifar10": small_table(9), "imagenet2012": TABLE_34}
_with_shortcuts = change_model(shortcut="A")


def _deepen(experiment: Experiment) -> Experiment:
    return change_model(table=_DEEP[experiment.dataset])(experiment)


def _deepen_with_shortcuts(experiment: Experiment) -> Experiment:
    return _with_shortcuts(_deepen(experiment))


STUDY = Study(
    title="Plain against residual",
    question="Do deeper plain networks get worse, and do shortcuts cure it?",
    source="He et al. 2016, Table 2 and Figure 6",
    settings={
        "cifar10": small_recipe("plain20", 3, 8.0),
        "imagenet2012": recipe("plain18"),
    },
    descriptions={
        "cifar10": "20 and 56 layers at 1/16 of the cost, 10,000 training images",
        "imagenet2012": "18 and 34 layers, the paper's networks and recipe",
    },
    baseline="plain_shallow",
    arms={
        "plain_shallow": Arm("plain, 20 / 18 layers", unchanged),
        "plain_deep": Arm("plain, 56 / 34 layers", _deepen),
        "residual_shallow": Arm("residual, 20 / 18 layers", _with_shortcuts),
        "residual_deep": Arm("residual, 56 / 34 layers", _deepen_with_shortcuts),
    },
    published=(
        PublishedColumn(
            title="ImageNet top-1 %",
            source="He et al. 2016, Table 2: 18 and 34 layers, validation, 10 crops",
            values={
                "plain_shallow": 27.94,
                "plain_deep": 28.54,
                "residual_shallow": 27.88,
                "residual_deep": 25.03,
            },
        ),
        PublishedColumn(
            title="CIFAR-10 %",
            source="He et al. 2016, Table 6: 20 and 56 layers, full width, all images",
            values={"residual_shallow": 8.75, "residual_deep": 6.97},
        ),
    ),
    printed="imagenet2012",
    notes=(
        "The paper prints no errors of plain networks on CIFAR-10; its Figure 6 shows them"
        " rise with the depth.",
    ),
    seeds=3,
)
