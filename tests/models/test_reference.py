"""Every network whose size a source gives: input, parameters, multiply-adds, in one place.

From the papers, where they print or allow the number, by arithmetic otherwise; the tests of
each network compare every layer. ``multidigit`` stands in its own test: its paper leaves
the size of one layer open, so only its eight convolutions have a count.
"""

import sys

import pytest

import cnn_jax
from cnn_jax.analysis.compute import count_macs
from cnn_jax.layers.tracing import count_parameters

# fmt: off
#    name: (height, width, channels), parameters without auxiliary heads, multiply-adds
REFERENCE = {
    "lenet5": ((32, 32, 1), 60_000, 326_520),
    "lenet5_modern": ((32, 32, 1), 61_706, 416_520),
    "lecun1989": ((16, 16, 1), 9_760, 63_660),
    "mnist_net": ((28, 28, 1), 431_080, 2_293_000),
    "exercise_cnn": ((32, 32, 3), 62_958, 849_320),
    "simard2003": ((29, 29, 1), 132_540, 303_375),
    "neocognitron": ((16, 16, 1), 29_472, None),
    "tdnn": ((15, 1, 16), 521, 6_099),
    "alexnet": ((227, 227, 3), 60_965_224, 724_406_816),
    "zfnet": ((224, 224, 3), 62_357_608, 1_168_032_896),
    "overfeat_fast": ((231, 231, 3), 145_920_872, 2_801_403_904),
    "overfeat_accurate": ((221, 221, 3), 144_656_488, 5_355_446_784),
    "vgg_a": ((224, 224, 3), 132_863_336, 7_609_090_048),
    "vgg_a_lrn": ((224, 224, 3), 132_863_336, 7_609_090_048),
    "vgg_b": ((224, 224, 3), 133_047_848, 11_308_466_176),
    "vgg_c": ((224, 224, 3), 133_638_952, 11_770_888_192),
    "vgg_d": ((224, 224, 3), 138_357_544, 15_470_264_320),
    "vgg_e": ((224, 224, 3), 143_667_240, 19_632_062_464),
    "googlenet": ((224, 224, 3), 6_998_552, 1_582_671_872),
    "bn_inception": ((224, 224, 3), 11_194_984, 2_018_851_840),
    "inception_v3": ((299, 299, 3), 23_834_568, 5_713_216_096),
    "prelu_net_a": ((224, 224, 3), 178_032_072, 19_058_106_368),
    "prelu_net_b": ((224, 224, 3), 183_343_048, 23_219_904_512),
    "prelu_net_c": ((224, 224, 3), 330_623_944, 53_463_130_112),
    "resnet18": ((224, 224, 3), 11_689_512, 1_814_073_344),
    "resnet34": ((224, 224, 3), 21_797_672, 3_663_761_408),
    "resnet50": ((224, 224, 3), 25_557_032, 3_857_973_248),
    "resnet101": ((224, 224, 3), 44_549_160, 7_570_194_432),
    "resnet152": ((224, 224, 3), 60_192_808, 11_282_415_616),
    "plain18": ((224, 224, 3), 11_515_688, 1_794_805_760),
    "plain34": ((224, 224, 3), 21_623_848, 3_644_493_824),
    "resnet20": ((32, 32, 3), 269_722, 40_551_040),
    "resnet32": ((32, 32, 3), 464_154, 68_862_592),
    "resnet44": ((32, 32, 3), 658_586, 97_174_144),
    "resnet56": ((32, 32, 3), 853_018, 125_485_696),
    "resnet110": ((32, 32, 3), 1_727_962, 252_887_680),
    "resnet1202": ((32, 32, 3), 19_421_274, 2_829_238_912),
    "mcdnn_mnist": ((29, 29, 1), 76_040, 1_891_820),
    "mcdnn_gtsrb": ((48, 48, 3), 1_543_443, 125_978_700),
    "mcdnn_cifar10": ((32, 32, 3), 1_660_710, 99_661_000),
    "text_dict90k": ((32, 100, 1), 491_119_724, 1_073_537_024),
    "z2cnn": ((28, 28, 1), 21_750, 2_976_080),
    "p4cnn": ((28, 28, 1), 24_680, 11_673_760),
}
# fmt: on


def test_every_declared_total_is_the_references(capsys):
    for name, (shape, parameters, macs) in REFERENCE.items():
        spec = cnn_jax.model_spec(name)
        assert (spec.input_shape, spec.parameters) == (shape, parameters), name
        assert macs in (None, spec.macs), name  # of the Neocognitron none is stated
    with capsys.disabled():
        sys.stdout.write(f"\n{len(REFERENCE)} networks against the papers' totals")


@pytest.mark.parametrize("name", ["lenet5", "tdnn", "p4cnn", "text_dict90k"])
def test_a_total_is_what_tracing_finds(name):
    # For all others: tests/models/test_contract.py.
    model = cnn_jax.create_model(name)
    assert (count_parameters(model), count_macs(model)) == REFERENCE[name][1:]
