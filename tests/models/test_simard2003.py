import cnn_jax
from cnn_jax.analysis.layer_table import layer_table

# name, output shape, parameters, multiply-adds: Simard et al. 2003, Section 3; counts by
# arithmetic.
ROWS = [
    ("conv1", (13, 13, 5), 130, 21_125),
    ("conv2", (5, 5, 50), 6_300, 156_250),
    ("fc1", (100,), 125_100, 125_000),
    ("output", (10,), 1_010, 1_000),
]


def test_every_layer_has_the_papers_sizes_and_skips_every_second_place():
    table = layer_table(cnn_jax.create_model("simard2003"))
    assert [(r.name, r.output_shape, r.parameters, r.macs) for r in table] == ROWS
    assert sum(row.parameters for row in table) == 132_540
    # No pooling: the images shrink because the kernels move two pixels at a time.
    conv1, conv2, *_ = table
    assert (conv1.receptive_field, conv1.effective_stride) == ((5, 5), (2, 2))
    assert (conv2.receptive_field, conv2.effective_stride) == ((13, 13), (4, 4))
