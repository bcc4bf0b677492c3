import math

import flax.linen as nn
import jax
import pytest

import cnn_jax
from cnn_jax.analysis.compute import count_macs, layer_macs
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.initializers import he
from cnn_jax.layers.residual import BasicBlock, Bottleneck, ResidualBlock
from cnn_jax.layers.rows import Conv
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.resnet import MODELS

# Output edge and channels, parameters and multiply-adds of the first block of a stage and
# of each other one: papers/reference.json of the project, which is arithmetic on He et al.
# 2016, Table 1 and Section 4.2; it was checked against a second derivation.
# fmt: off
STEM = [("conv1", (112, 112, 64), 9_536, 118_013_952), ("pool1", (56, 56, 64), 0, 0)]
BASIC = {
    "conv2": (56,  64, (   73_984, 231_211_008), (   73_984, 231_211_008)),
    "conv3": (28, 128, (  230_144, 179_830_784), (  295_424, 231_211_008)),
    "conv4": (14, 256, (  919_040, 179_830_784), (1_180_672, 231_211_008)),
    "conv5": ( 7, 512, (3_673_088, 179_830_784), (4_720_640, 231_211_008)),
}
PLAIN = {
    "conv2": BASIC["conv2"],
    "conv3": (28, 128, (  221_696, 173_408_256), (  295_424, 231_211_008)),
    "conv4": (14, 256, (  885_760, 173_408_256), (1_180_672, 231_211_008)),
    "conv5": ( 7, 512, (3_540_992, 173_408_256), (4_720_640, 231_211_008)),
}
BOTTLENECK = {
    "conv2": (56,  256, (   75_008, 231_211_008), (   70_400, 218_365_952)),
    "conv3": (28,  512, (  379_392, 295_436_288), (  280_064, 218_365_952)),
    "conv4": (14, 1024, (1_512_448, 295_436_288), (1_117_184, 218_365_952)),
    "conv5": ( 7, 2048, (6_039_552, 295_436_288), (4_462_592, 218_365_952)),
}
CIFAR_STEM = [("conv1", (32, 32, 16), 464, 442_368)]
CIFAR = {
    "conv2": (32, 16, ( 4_672, 4_718_592), ( 4_672, 4_718_592)),
    "conv3": (16, 32, (13_952, 3_538_944), (18_560, 4_718_592)),
    "conv4": ( 8, 64, (55_552, 3_538_944), (73_984, 4_718_592)),
}
NETWORKS = {
    "plain18":   (STEM, PLAIN,      (2, 2,  2, 2)),
    "plain34":   (STEM, PLAIN,      (3, 4,  6, 3)),
    "resnet18":  (STEM, BASIC,      (2, 2,  2, 2)),
    "resnet34":  (STEM, BASIC,      (3, 4,  6, 3)),
    "resnet50":  (STEM, BOTTLENECK, (3, 4,  6, 3)),
    "resnet101": (STEM, BOTTLENECK, (3, 4, 23, 3)),
    "resnet152": (STEM, BOTTLENECK, (3, 8, 36, 3)),
    # The plain networks of Section 4.2 have the same rows: option A has no parameters.
    "plain20":   (CIFAR_STEM, CIFAR, (3, 3, 3)),
    "plain32":   (CIFAR_STEM, CIFAR, (5, 5, 5)),
    "plain44":   (CIFAR_STEM, CIFAR, (7, 7, 7)),
    "plain56":   (CIFAR_STEM, CIFAR, (9, 9, 9)),
    "plain110":  (CIFAR_STEM, CIFAR, (18, 18, 18)),
    "resnet20":  (CIFAR_STEM, CIFAR, (3, 3, 3)),
    "resnet32":  (CIFAR_STEM, CIFAR, (5, 5, 5)),
    "resnet44":  (CIFAR_STEM, CIFAR, (7, 7, 7)),
    "resnet56":  (CIFAR_STEM, CIFAR, (9, 9, 9)),
    "resnet110": (CIFAR_STEM, CIFAR, (18, 18, 18)),
    "resnet1202": (CIFAR_STEM, CIFAR, (200, 200, 200)),
}
# fmt: on
# 7 ImageNet networks (175 rows), 5 pairs on CIFAR-10 (141 rows each); 1202 layers below.
ENTRIES = 175 + 2 * 141


def _expected(name):
    stem, stages, counts = NETWORKS[name]
    rows = list(stem)
    for (stage, (edge, width, *numbers)), count in zip(stages.items(), counts, strict=True):
        for i in range(count):
            first_or_other = numbers[min(i, 1)]
            rows.append((f"{stage}_{i + 1}", (edge, edge, width), *first_or_other))
    classes = 1000 if stem is STEM else 10
    rows.append(("gap", (1, 1, width), 0, 0))
    rows.append(("fc", (classes,), (width + 1) * classes, width * classes))
    return rows


def _row_numbers(model):
    """Name, output shape, parameters, multiply-adds of each row, in order."""
    shapes, parameters = {}, {}

    def note(call, args, kwargs, context):
        output = call(*args, **kwargs)
        module = context.module
        if len(module.path) == 1:
            row = module.path[0].removesuffix("_norm")
            shapes[row] = output.shape[1:]
            leaves = jax.tree.leaves(module.variables["params"])
            parameters[module.path[0]] = sum(math.prod(leaf.shape) for leaf in leaves)
        return output

    with nn.intercept_methods(note):
        macs = layer_macs(model)
    found, before = [], model.input_shape
    for name in (row.name for row in model.table):
        if name not in shapes:  # it has no parameters and so is no module: apply it alone
            alone = [row for row in model.table if row.name == name]
            shapes[name] = trace_output(model.clone(table=alone, input_shape=before))[1:]
        before = shapes[name]
        own = parameters.get(name, 0) + parameters.get(f"{name}_norm", 0)
        uses = sum(n for scope, n in macs.items() if scope.split("/")[0] == name)
        found.append((name, before, own, uses))
    return found


def test_every_network_of_the_family_is_declared_and_checked():
    assert set(MODELS) == set(NETWORKS)
    rows = {name: len(_expected(name)) for name in NETWORKS}
    assert sum(rows.values()) - rows["resnet1202"] == ENTRIES == 457
    for name, spec in MODELS.items():
        expected = _expected(name)
        assert sum(row[2] for row in expected) == spec.parameters, name
        assert sum(row[3] for row in expected) == spec.macs, name


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "resnet1202"])
def test_every_row_has_the_shape_parameters_and_multiply_adds_of_the_paper(name):
    assert _row_numbers(MODELS[name].build()) == _expected(name)


@pytest.mark.slow
def test_every_row_of_the_1202_layers_is_right_too():
    # Two traces of 1202 layers.
    rows = _row_numbers(MODELS["resnet1202"].build())
    assert rows == _expected("resnet1202")
    assert len(rows) == 603


def test_the_names_of_the_networks_count_their_weighted_layers():
    for name, spec in MODELS.items():
        table = spec.build().table
        layers = {Conv: 1, BasicBlock: 2, Bottleneck: 3}
        depth = sum(layers.get(type(row), 0) for row in table) + 1  # the classifier
        assert name in (f"resnet{depth}", f"plain{depth}")
        assert table[-1].name == "fc"


@pytest.mark.parametrize(
    ("name", "fields", "parameters", "macs"),
    [
        # reference.json: shortcut_options, option_B_total_trainable, torchvision's macs.
        ("resnet18", {"shortcut": "A"}, 11_515_688, 1_794_805_760),
        ("resnet18", {"shortcut": "B"}, 11_689_512, 1_814_073_344),
        ("resnet34", {"shortcut": "A"}, 21_623_848, 3_644_493_824),
        ("resnet34", {"shortcut": "B"}, 21_797_672, 3_663_761_408),
        ("resnet34", {"shortcut": "C"}, 22_716_840, 3_830_747_136),
        ("resnet34", {"shortcut": "none"}, 21_623_848, 3_644_493_824),
        ("resnet50", {"stride_in": "3x3"}, 25_557_032, 4_089_184_256),
        ("resnet101", {"stride_in": "3x3"}, 44_549_160, 7_801_405_440),
        pytest.param(
            "resnet152",
            {"stride_in": "3x3"},
            60_192_808,
            11_513_626_624,
            marks=pytest.mark.slow,
        ),
        ("resnet20", {"shortcut": "B"}, 272_474, 40_813_184),
        pytest.param(
            "resnet110", {"shortcut": "B"}, 1_730_714, 253_149_824, marks=pytest.mark.slow
        ),
    ],
)
def test_options_have_the_totals_of_the_arithmetic(name, fields, parameters, macs):
    model = cnn_jax.create_model(name, **fields)
    assert (count_parameters(model), count_macs(model)) == (parameters, macs)


def test_a_plain_network_has_the_parameters_of_option_a():
    for name in ("resnet18", "resnet20"):
        plain = cnn_jax.create_model(name, shortcut="none")
        identity = cnn_jax.create_model(name, shortcut="A")
        assert trace_variables(plain) == trace_variables(identity)


def test_normalisation_and_initial_weights_are_the_documented_ones():
    model = cnn_jax.create_model("resnet50")
    assert model.batch_norm == BatchNorm(epsilon=1e-5, momentum=0.9)
    assert model.initializer is he
    paths = [
        [key.key for key in path]
        for path, _ in jax.tree_util.tree_leaves_with_path(trace_variables(model)["params"])
    ]
    assert {path[-1] for path in paths} == {"kernel", "scale", "bias"}
    # Batch normalisation has a bias, no convolution has.
    biases = [path[-2] for path in paths if path[-1] == "bias"]
    assert all(scope.endswith("_norm") for scope in biases if scope != "fc")


def test_54_blocks_with_survival_one_half_expect_40_and_a_quarter():
    survivals = []

    def note(call, args, kwargs, context):
        if isinstance(context.module, ResidualBlock):
            survivals.append(context.module.survival)
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        trace_output(cnn_jax.create_model("resnet110", survival=0.5))
    assert len(survivals) == 54
    assert sum(survivals) == pytest.approx(40.25, abs=1e-12)  # Huang et al., Section 3
    assert survivals[-1] == 0.5
    assert survivals == sorted(survivals, reverse=True)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("resnet34", ("conv1", "pool1", "conv2_1", "conv3_1", "conv3_2", "conv5_3", "gap")),
        ("plain34", ("conv3_1",)),
        ("resnet50", ("pool1", "conv2_1", "conv3_2")),
        pytest.param("resnet152", ("conv4_1",), marks=pytest.mark.slow),
        pytest.param("resnet110", ("conv4_18",), marks=pytest.mark.slow),
    ],
)
def test_rows_of_the_real_networks_can_be_removed(name, rows):
    # All rows: tests/layers/test_residual_network.py on small networks, and
    # tests/models/test_contract.py.
    model = cnn_jax.create_model(name)
    for row in rows:
        edited = cnn_jax.without(model, row)  # traces it
        assert [r.name for r in edited.table] == [
            r.name for r in model.table if r.name != row
        ]


@pytest.mark.slow
def test_rows_of_the_1202_layers_can_be_removed():
    model = cnn_jax.create_model("resnet1202")
    for row in ("conv1", "conv3_1", "conv4_200"):
        assert len(cnn_jax.without(model, row).table) == 602


def test_a_removed_block_takes_its_parameters_along():
    for name in ("resnet34", "plain34"):
        model = cnn_jax.create_model(name)
        edited = cnn_jax.without(model, "conv3_2")
        assert count_parameters(model) - count_parameters(edited) == 295_424


def test_the_block_after_a_removed_one_takes_over_the_change_of_shape():
    model = cnn_jax.create_model("resnet34")
    params = trace_variables(cnn_jax.without(model, "conv3_1"))["params"]
    assert params["conv3_2"]["shortcut"]["kernel"].shape == (1, 1, 64, 128)
    assert params["conv3_2"]["conv1"]["kernel"].shape == (3, 3, 64, 128)
    zeros = cnn_jax.without(model.clone(shortcut="A"), "conv3_1")
    assert "shortcut" not in trace_variables(zeros)["params"]["conv3_2"]


def test_blocks_can_be_resized_and_replaced():
    model = cnn_jax.create_model("resnet34")
    wide = trace_variables(cnn_jax.resize(model, conv3_2=256))["params"]
    assert wide["conv3_2"]["shortcut"]["kernel"].shape == (1, 1, 128, 256)
    assert wide["conv3_3"]["shortcut"]["kernel"].shape == (1, 1, 256, 128)
    small = cnn_jax.replace(model, conv1=Conv("conv1", 64, 3, padding=1))
    assert trace_variables(small)["params"]["conv1"]["kernel"].shape == (3, 3, 3, 64)
    mixed = cnn_jax.replace(model, conv5_3=Bottleneck("conv5_3", 128, 512))
    assert set(trace_variables(mixed)["params"]["conv5_3"]) >= {"conv3", "conv3_norm"}
