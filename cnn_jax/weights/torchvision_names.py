"""torchvision's name of the module whose weights stand at one of our scopes.

Source:
    torchvision 0.28: ``models/alexnet.py``, ``vgg.py``, ``googlenet.py``, ``inception.py``
    and ``resnet.py``.
"""

import re
from collections.abc import Iterable
from typing import Any

from cnn_jax.layers.rows import Conv, MaxPool


def sequential_modules(
    table: Iterable[Any], *, batch_norm: bool, linear: tuple[int, int, int]
) -> dict[str, str]:
    """Return the names for AlexNet and VGG: places in ``features`` and ``classifier``.

    Args:
        table: of the network. A convolution, a normalisation, a ReLU and a pool have a
            place each.
        batch_norm: convolutions are batch-normalised.
        linear: places of fc6, fc7 and fc8 in ``classifier``.
    """
    layers = zip(("fc6", "fc7", "fc8"), linear, strict=True)
    modules = {name: f"classifier.{place}" for name, place in layers}
    place = 0
    for row in table:
        if isinstance(row, Conv):
            modules[row.name] = f"features.{place}"
            modules[f"{row.name}_norm"] = f"features.{place + 1}"
            place += 3 if batch_norm else 2
        elif isinstance(row, MaxPool):
            place += 1
    return modules


def resnet_module(scope: str) -> str:
    """Return the name for a ResNet: ``conv2_1/conv1_norm`` is ``layer1.0.bn1``."""
    block, _, layer = scope.rpartition("/")
    layer = re.sub(r"conv(\d)_norm", r"bn\1", layer)
    layer = re.sub("shortcut$", "downsample.0", layer)
    layer = re.sub("shortcut_norm$", "downsample.1", layer)
    if not block:
        return layer  # conv1, bn1, fc
    stage, number = block.removeprefix("conv").split("_")
    return f"layer{int(stage) - 1}.{int(number) - 1}.{layer}"


def _within(unit: str, scope: str) -> str:
    """Return the name within a ``BasicConv2d``: a convolution and its normalisation."""
    return f"{unit}.bn" if scope.endswith("_norm") else f"{unit}.conv"


GOOGLENET_LINEAR = {
    "linear": "fc",
    "aux1/hidden": "aux1.fc1",
    "aux1/classifier": "aux1.fc2",
    "aux2/hidden": "aux2.fc1",
    "aux2/classifier": "aux2.fc2",
}
GOOGLENET_UNITS = {
    "conv1": "conv1",
    "conv2_reduce": "conv2",
    "conv2": "conv3",
    "aux1/conv": "aux1.conv",
    "aux2/conv": "aux2.conv",
}
GOOGLENET_BRANCHES = {
    "conv1x1": "branch1",
    "conv3x3_reduce": "branch2.0",
    "conv3x3": "branch2.1",
    "narrow3x3_reduce": "branch3.0",
    "narrow3x3": "branch3.1",
    "pool_proj": "branch4.1",
}


def googlenet_module(scope: str) -> str:
    """Return the name for GoogLeNet: ``conv2_reduce_norm`` is ``conv2.bn``."""
    if scope in GOOGLENET_LINEAR:
        return GOOGLENET_LINEAR[scope]
    unit = scope.removesuffix("_norm")
    if unit in GOOGLENET_UNITS:
        return _within(GOOGLENET_UNITS[unit], scope)
    module, branch = unit.split("/")
    return _within(f"{module.replace('_', '')}.{GOOGLENET_BRANCHES[branch]}", scope)


INCEPTION_V3_LINEAR = {"linear": "fc", "aux1/classifier": "AuxLogits.fc"}
INCEPTION_V3_UNITS = {
    "aux1/conv": "AuxLogits.conv0",
    "aux1/hidden": "AuxLogits.conv1",
    # The 3 x 3 of the first reduction stands alone; in other modules one comes before it.
    "mixed_6a/conv3x3": "Mixed_6a.branch3x3",
}
INCEPTION_V3_BRANCHES = {
    "conv1x1": "branch1x1",
    "conv5x5_reduce": "branch5x5_1",
    "conv5x5": "branch5x5_2",
    "conv3x3_reduce": "branch3x3_1",
    "conv3x3": "branch3x3_2",
    "conv1x3": "branch3x3_2a",
    "conv3x1": "branch3x3_2b",
    "double3x3_reduce": "branch3x3dbl_1",
    "double3x3": "branch3x3dbl_2",
    "double3x3_a": "branch3x3dbl_2",
    "double3x3_b": "branch3x3dbl_3",
    "double1x3": "branch3x3dbl_3a",
    "double3x1": "branch3x3dbl_3b",
    "conv7x7_reduce": "branch7x7_1",
    "conv1x7": "branch7x7_2",
    "conv7x1": "branch7x7_3",
    "double7x7_reduce": "branch7x7dbl_1",
    "double7x1_a": "branch7x7dbl_2",
    "double1x7_a": "branch7x7dbl_3",
    "double7x1_b": "branch7x7dbl_4",
    "double1x7_b": "branch7x7dbl_5",
    "conv7x7x3_reduce": "branch7x7x3_1",
    "conv7x7x3_row": "branch7x7x3_2",
    "conv7x7x3_column": "branch7x7x3_3",
    "conv7x7x3": "branch7x7x3_4",
    "pool_proj": "branch_pool",
}


def inception_v3_module(scope: str) -> str:
    """Return the name for Inception v3: ``conv2d_1a_3x3`` is ``Conv2d_1a_3x3.conv``."""
    if scope in INCEPTION_V3_LINEAR:
        return INCEPTION_V3_LINEAR[scope]
    unit = scope.removesuffix("_norm")
    if unit in INCEPTION_V3_UNITS:
        return _within(INCEPTION_V3_UNITS[unit], scope)
    module, _, branch = unit.partition("/")
    name = module.capitalize() + (f".{INCEPTION_V3_BRANCHES[branch]}" if branch else "")
    return _within(name, scope)
