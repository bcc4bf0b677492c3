import pytest

import cnn_jax
from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.types import task_of

# Jaderberg et al. 2014 as released, from a public port, by arithmetic: shape, parameters,
# multiply-adds.
BASE = {
    "conv1": ((32, 100, 64), 1_664, 5_120_000),
    "pool1": ((16, 50, 64), 0, 0),
    "conv2": ((16, 50, 128), 204_928, 163_840_000),
    "pool2": ((8, 25, 128), 0, 0),
    "conv3": ((8, 25, 256), 295_168, 58_982_400),
    "conv3_5": ((8, 25, 512), 1_180_160, 235_929_600),
    "pool3": ((4, 13, 512), 0, 0),
    "conv4": ((4, 13, 512), 2_359_808, 122_683_392),
    "fc1": ((4096,), 109_056_000, 109_051_904),
    "fc2": ((4096,), 16_781_312, 16_777_216),
}
OUTPUTS = {
    "text_dict90k": ("classify", (88_172,), 361_240_684, 361_152_512),
    "text_char": ("sequence", (23, 37), 4097 * 23 * 37, 4096 * 23 * 37),
    "text_ngram": ("multi_label", (10_000,), 4097 * 10_000, 4096 * 10_000),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_three_outputs_stand_on_one_base(name):
    model, (task, *output) = cnn_jax.create_model(name), OUTPUTS[name]
    rows = {
        row.name: (row.output_shape, row.parameters, row.macs) for row in layer_table(model)
    }
    assert rows == BASE | {"out": tuple(output)}
    assert task_of(model) == cnn_jax.model_spec(name).task == task
