"""Numbers against torchvision are in ``tests/weights/test_torchvision.py``."""

import math

import pytest
from flax.traverse_util import flatten_dict

from cnn_jax.analysis.compute import layer_macs
from cnn_jax.layers.rows import Classifier, Conv, Dense
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.models.googlenet_torchvision import TABLE, AdaptiveHead, GoogLeNetTorchvision


def kernels(params, module):
    """Return the shapes of the kernels of a module by name."""
    return {
        name: layer["kernel"].shape
        for name, layer in params[module].items()
        if not name.endswith("_norm")
    }


def test_modules_have_the_papers_widths_and_the_branch_of_5x5_has_3x3():
    ours, paper = (
        trace_variables(model)["params"] for model in (GoogLeNetTorchvision(), GoogLeNet())
    )
    modules = [row.name for row in TABLE if row.name.startswith("inception")]
    assert len(modules) == 9
    for module in modules:
        printed = kernels(paper, module)
        printed["narrow3x3_reduce"] = printed.pop("conv5x5_reduce")
        printed["narrow3x3"] = (3, 3, *printed.pop("conv5x5")[2:])
        assert kernels(ours, module) == printed


def test_maps_have_the_sizes_of_the_comments():
    model = GoogLeNetTorchvision()
    params = trace_variables(model)["params"]
    edges = {"conv1": 112, "conv2": 56, "inception_3a": 28, "inception_4a": 14}
    edges |= {"inception_4e": 14, "inception_5a": 7, "inception_5b": 7}
    macs = layer_macs(model)
    for row, edge in edges.items():
        layer = row if row.startswith("conv") else f"{row}/conv1x1"
        kernel = flatten_dict(params, sep="/")[f"{layer}/kernel"].shape
        assert macs[layer] == edge**2 * math.prod(kernel)


def test_larger_images_need_no_other_weights():
    model = GoogLeNetTorchvision(input_shape=(320, 320, 3))
    params = trace_variables(model)["params"]
    assert params["linear"]["kernel"].shape == (1024, 1000)
    assert params["aux1"]["hidden"]["kernel"].shape == (2048, 1024)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Conv("conv1", 3, 3), "conv1: it slides over images"),
        (AdaptiveHead("aux1"), "aux1: it slides over images"),
    ],
)
def test_a_row_for_images_after_a_dense_layer_is_refused_by_name(row, message):
    table = (Dense("fc", 4), row, Classifier("linear"))
    with pytest.raises(ValueError, match=message):
        trace_variables(GoogLeNetTorchvision(input_shape=(8, 8, 3), table=table))
