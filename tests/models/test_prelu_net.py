import math

import jax
import numpy as np
import pytest

from cnn_jax.layers.activations import relu
from cnn_jax.layers.editing import resize
from cnn_jax.layers.rows import Conv, Dense
from cnn_jax.layers.tracing import count_parameters, trace_output
from cnn_jax.models.prelu_net import MODELS, he_backward
from tests import loops
from tests.reference_rows import check_rows, loud_scores

# He et al. 2015, Table 3, by arithmetic: output, parameters (slopes included, one a map
# and one a hidden unit), multiply-adds. The second row of a block stands for the others.
# fmt: off
STEM = [
    ("conv1",   (112, 112, 96),      14_304,   177_020_928),
    ("pool1",   (56, 56, 96),             0,             0),
]
AB_FIRST, AB_LATER = {
    2: ((56, 56, 256),    221_696,   693_633_024),
    3: ((28, 28, 512),  1_180_672,   924_844_032),
    4: ((14, 14, 512),  2_360_320,   462_422_016),
}, {
    2: ((56, 56, 256),    590_336, 1_849_688_064),
    3: ((28, 28, 512),  2_360_320, 1_849_688_064),
    4: ((14, 14, 512),  2_360_320,   462_422_016),
}
C_FIRST, C_LATER = {
    2: ((56, 56, 384),    332_544, 1_040_449_536),
    3: ((28, 28, 768),  2_655_744, 2_080_899_072),
    4: ((14, 14, 896),  6_194_944, 1_213_857_792),
}, {
    2: ((56, 56, 384),  1_327_872, 4_161_798_144),
    3: ((28, 28, 768),  5_309_952, 4_161_798_144),
    4: ((14, 14, 896),  7_227_136, 1_416_167_424),
}
AB_HEAD = [
    ("spp", (63, 512),            0,           0),
    ("fc1", (4096,),    132_128_768, 132_120_576),
    ("fc2", (4096,),     16_785_408,  16_777_216),
    ("fc3", (1000,),      4_097_000,   4_096_000),
]
C_HEAD = [
    ("spp", (63, 896),            0,           0),
    ("fc1", (4096,),    231_219_200, 231_211_008),
    *AB_HEAD[2:],
]
# fmt: on


def _rows(layers, first, later, head):
    rows = list(STEM)
    for stage in (2, 3, 4):
        rows.append((f"conv{stage}_1", *first[stage]))
        rows += [(f"conv{stage}_{i}", *later[stage]) for i in range(2, layers + 1)]
        if stage < 4:
            edge, _, maps = first[stage][0]
            rows.append((f"pool{stage}", (edge // 2, edge // 2, maps), 0, 0))
    return rows + head


ROWS = {
    "prelu_net_a": _rows(5, AB_FIRST, AB_LATER, AB_HEAD),
    "prelu_net_b": _rows(6, AB_FIRST, AB_LATER, AB_HEAD),
    "prelu_net_c": _rows(6, C_FIRST, C_LATER, C_HEAD),
}


def test_every_row_of_every_model_is_the_papers():
    checked = {name: check_rows(MODELS[name].build(), ROWS[name]) for name in MODELS}
    # 23, 26 and 26 rows: 75 rows of three entries.
    assert sum(checked.values()) == 225


@pytest.mark.parametrize(
    ("name", "weight_layers", "slopes", "operations"),
    [
        # Table 3 prints 1.90, 2.32 and 5.30e10 operations; see the file's Departures.
        ("prelu_net_a", 19, 14_688, 1.906e10),
        ("prelu_net_b", 22, 15_968, 2.322e10),
        ("prelu_net_c", 22, 20_576, 5.346e10),
    ],
)
def test_the_totals_are_those_of_the_rows(name, weight_layers, slopes, operations):
    spec = MODELS[name]
    rows = ROWS[name]
    assert sum(row[2] for row in rows) == spec.parameters
    assert sum(row[3] for row in rows) == spec.macs
    assert spec.macs == pytest.approx(operations, rel=5e-4)  # four digits
    assert sum(row[3] > 0 for row in rows) == weight_layers
    assert count_parameters(spec.build(activation=relu)) == spec.parameters - slopes


def _bins(size, count):
    """He et al. 2014, Appendix A: floor of the left edge, ceiling of the right one."""
    return [
        (math.floor(i / count * size), math.ceil((i + 1) / count * size))
        for i in range(count)
    ]


def test_the_forward_pass_is_the_papers_slopes_and_pyramid_included(draw):
    # 112 pixels: maps of 56, 28, 14 and 7; three bins on 7 pixels overlap.
    network = MODELS["prelu_net_a"].build(input_shape=(112, 112, 3), num_classes=3)
    widths = {"conv1": 4, "fc1": 5, "fc2": 4}
    for stage, maps in ((2, 3), (3, 4), (4, 3)):
        widths |= {f"conv{stage}_{i}": maps for i in range(1, 6)}
    network = resize(network, **widths)
    images = 20 * draw.standard_normal((1, 112, 112, 3)).astype(np.float32)
    scores, p = loud_scores(network, images, draw)

    def layer(x, name, **window):
        slope = p[f"{name}_activation"]["slope"]
        return loops.prelu(loops.conv(x, p[name], **window), slope)

    x = layer(np.float64(images[0]), "conv1", stride=2, padding=3)
    assert x.shape == (56, 56, 4)
    for stage in (2, 3, 4):
        x = loops.max_pool(x, 2, 2)
        for i in range(1, 6):
            x = layer(x, f"conv{stage}_{i}", padding=1)
    assert x.shape == (7, 7, 3)
    x = np.array(
        [
            x[top:bottom, left:right].max((0, 1))
            for count in (7, 3, 2, 1)
            for top, bottom in _bins(7, count)
            for left, right in _bins(7, count)
        ]
    )
    assert x.shape == (63, 3)
    for name in ("fc1", "fc2"):
        x = loops.prelu(loops.dense(x, p[name]), p[f"{name}_activation"]["slope"])
    assert np.count_nonzero(x) >= 3  # or the scores would not depend on the image
    expected = loops.dense(x, p["fc3"])
    # float32, up to 19 layers
    np.testing.assert_allclose(scores[0], expected, atol=1e-4 * np.abs(expected).max())


def test_convolutions_start_from_equation_14(rng):
    # n is the filters times the window, not the inputs: 3 * 3 * 512, whatever goes in.
    weights = np.asarray(he_backward(rng, (3, 3, 32, 512)), np.float64)
    assert weights.var() == pytest.approx(2 / (9 * 512), rel=0.02)  # 147,456 draws


def test_other_weights_start_as_stated():
    for spec in MODELS.values():
        network = spec.build()
        table = {row.name: row for row in network.table}
        assert network.initializer is he_backward
        deviations = {n: table[n].deviation for n in ("fc1", "fc2", "fc3")}
        assert deviations == {"fc1": 0.01, "fc2": 0.01, "fc3": 0.001}
        assert all(row.bias == 0.0 for row in network.table if isinstance(row, Conv))
        dropout = {r.name: r.dropout for r in network.table if isinstance(r, Dense)}
        assert dropout == {"fc1": 0.5, "fc2": 0.5}


def test_a_stated_deviation_holds_for_its_row_alone(rng):
    network = MODELS["prelu_net_a"].build(input_shape=(8, 8, 2), num_classes=64)
    head = resize(network.clone(table=(Conv("conv1", 3, 3), *network.table[-3:])), fc1=256)
    head = resize(head, fc2=256)
    images = np.zeros((1, 8, 8, 2), np.float32)
    params = jax.jit(lambda: head.init(rng, images, train=False))()["params"]
    for name, deviation in (("fc1", 0.01), ("fc2", 0.01), ("fc3", 0.001)):
        # At least 16,384 draws: a standard error of at most 0.6 %.
        assert np.std(params[name]["kernel"]) == pytest.approx(deviation, rel=0.04)
    # 54 draws: a standard error of 10 %.
    expected = math.sqrt(2 / 27)
    assert np.std(params["conv1"]["kernel"]) == pytest.approx(expected, rel=0.5)


def test_any_size_gives_the_same_parameters_and_one_too_small_is_refused():
    network = MODELS["prelu_net_b"].build()
    larger = network.clone(input_shape=(288, 320, 3))
    assert count_parameters(larger) == MODELS["prelu_net_b"].parameters
    assert trace_output(larger) == (1, 1000)
    with pytest.raises(ValueError, match=r"^spp: 7 bins do not fit 6 pixels"):
        trace_output(network.clone(input_shape=(96, 224, 3)))
    with pytest.raises(ValueError, match=r"^pool2: a window of 2 does not fit 1 pixels"):
        trace_output(network.clone(input_shape=(4, 4, 3)))
