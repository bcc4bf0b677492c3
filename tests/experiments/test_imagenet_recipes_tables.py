"""The published recipes of the networks that are tables, and the two studies of them."""

import math

import jax
import numpy as np
import pytest

from cnn_jax.analysis.compute import count_macs
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.cropping import RandomCrop
from cnn_jax.data.resized_crop import ScaleJitter
from cnn_jax.experiment.program import trace_experiment
from cnn_jax.layers.rows import Conv, Dense
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.vgg import MODELS as VGG
from cnn_jax.models.vgg import TABLES
from cnn_jax.models.zfnet import MODELS as ZFNET
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.parameter_names import chosen
from cnn_jax.optim.plateau import plateau_of
from experiments import (
    alexnet_baselines,
    imagenet_overfeat,
    imagenet_prelu_net,
    imagenet_vgg,
    imagenet_vgg_scales,
    imagenet_zfnet,
)
from experiments.vgg_depth import STUDY as DEPTH
from experiments.zfnet_widths import STUDY as WIDTHS

RECIPES = {
    **imagenet_zfnet.EXPERIMENTS,
    **imagenet_overfeat.EXPERIMENTS,
    **imagenet_vgg.EXPERIMENTS,
    **imagenet_prelu_net.EXPERIMENTS,
}

# As printed: batch, first rate, factor, epochs, momentum, decay, crop (with the range of
# the short side where it is drawn), whether colours change. ZF: Section 3. OverFeat:
# Section 3.1. VGG: Section 3.1. He et al.: Section 3; the epochs of OverFeat are ours.
ZF = (128, 0.01, 0.1, 70, 0.9, 0.0, 224, False)
FAST = (128, 0.05, 0.5, 90, 0.6, 1e-5, 231, False)
ACCURATE = (128, 0.05, 0.5, 90, 0.6, 1e-5, 221, False)
SIMONYAN = (256, 0.01, 0.1, 74, 0.9, 5e-4, 224, True)
HE = (128, 0.01, 0.1, 80, 0.9, 5e-4, (256, 512, 224), True)
# Parameters as in the tests of the networks.
PRINTED = {
    "zfnet_imagenet": (ZF, 62_357_608),
    "zfnet_wide_imagenet": (ZF, 107_627_624),
    "overfeat_fast_imagenet": (FAST, 145_920_872),
    "overfeat_accurate_imagenet": (ACCURATE, 144_656_488),
    "vgg_a_imagenet": (SIMONYAN, 132_863_336),
    "vgg_a_lrn_imagenet": (SIMONYAN, 132_863_336),
    "vgg_b_imagenet": (SIMONYAN, 133_047_848),
    "vgg_c_imagenet": (SIMONYAN, 133_638_952),
    "vgg_d_imagenet": (SIMONYAN, 138_357_544),
    "vgg_e_imagenet": (SIMONYAN, 143_667_240),
    "prelu_net_a_imagenet": (HE, 178_032_072),
    "prelu_net_b_imagenet": (HE, 183_343_048),
    "prelu_net_c_imagenet": (HE, 330_623_944),
}


def test_each_network_has_its_recipe():
    assert set(RECIPES) == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_a_recipe_has_the_printed_numbers_and_traces(name):
    experiment = RECIPES[name]
    recipe, parameters = PRINTED[name]
    crop, flip, *colour = experiment.augmentation
    assert isinstance(flip, HorizontalFlip)
    assert [type(c) for c in colour] == [PcaColourNoise] * recipe[-1]
    size = recipe[-2]
    jitters = isinstance(size, tuple)
    assert crop == (ScaleJitter(*size) if jitters else RandomCrop(size, size))
    assert experiment.image_size == (256, 256)
    assert recipe[:-2] == (
        experiment.batch_size,
        experiment.schedule.rate,
        experiment.schedule.factor,
        experiment.epochs,
        experiment.optimizer.momentum,
        experiment.optimizer.weight_decay
        + sum(penalty.l2 for penalty in experiment.optimizer.penalties),
    )
    assert experiment.dataset == "imagenet2012"

    params = trace_experiment(experiment).params
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == parameters


def _lowest_rate(schedule):
    """Return the rate after twenty epochs without an improvement."""
    state = schedule.initial_state()
    for _ in range(20):
        state = schedule.update(state, np.float32(0.5))
    return schedule.rate * float(state.scale)


def test_the_rate_falls_when_the_validation_error_says_so_and_as_often_as_printed():
    vgg = imagenet_vgg.EXPERIMENTS["vgg_d_imagenet"].schedule
    assert _lowest_rate(vgg) == pytest.approx(1e-5)  # "decreased 3 times"
    prelu = imagenet_prelu_net.EXPERIMENTS["prelu_net_a_imagenet"].schedule
    assert _lowest_rate(prelu) == pytest.approx(1e-4)  # "1e-2, 1e-3, and 1e-4"
    alexnet = alexnet_baselines.SETTINGS["imagenet2012"].schedule
    assert _lowest_rate(alexnet) == pytest.approx(1e-5)  # "reduced three times"
    assert plateau_of(imagenet_zfnet.EXPERIMENTS["zfnet_imagenet"].schedule)


def test_the_rate_of_overfeat_halves_at_the_printed_epochs():
    for experiment in imagenet_overfeat.EXPERIMENTS.values():
        assert experiment.schedule.at_epochs == (30, 50, 60, 70, 80)


def test_all_but_the_slopes_of_prelu_nets_decay():
    experiment = imagenet_prelu_net.EXPERIMENTS["prelu_net_a_imagenet"]
    (penalty,) = experiment.optimizer.penalties
    params = trace_variables(experiment.model)["params"]
    decays = jax.tree_util.tree_leaves_with_path(chosen(params, penalty.on))
    assert {(path[-1].key, value) for path, value in decays} == {
        ("kernel", True),
        ("bias", True),
        ("slope", False),
    }


def test_the_filters_of_zfnet_are_bounded_and_nothing_else():
    experiment = imagenet_zfnet.EXPERIMENTS["zfnet_imagenet"]
    bound = experiment.optimizer.max_norm
    assert (bound.limit, bound.root_mean_square) == (0.1, True)
    params = trace_variables(experiment.model)["params"]
    on = chosen(params, bound.on)
    bounded = {name for name in params if on[name]["kernel"]}
    assert bounded == {"conv1", "conv2", "conv3", "conv4", "conv5"}


def test_alexnet_steps_as_its_paper_prints():
    imagenet = alexnet_baselines.SETTINGS["imagenet2012"]
    assert imagenet.optimizer == Sgd(0.9, 0.0005, rate_inside=True)


def test_370_000_steps_are_vggs_74_epochs():
    epochs = 370_000 * 256 / 1_281_167  # training images of ILSVRC-2012
    assert round(epochs) == imagenet_vgg.EXPERIMENTS["vgg_d_imagenet"].epochs


def test_the_larger_scales_of_vgg_start_from_the_smaller_ones():
    runs = imagenet_vgg_scales.EXPERIMENTS
    assert len(runs) == 6
    for name in ("vgg_c", "vgg_d", "vgg_e"):
        small = RECIPES[f"{name}_imagenet"]
        fixed, jitter = runs[f"{name}_imagenet_s384"], runs[f"{name}_imagenet_jitter"]
        assert fixed.augmentation == small.augmentation
        assert jitter.augmentation[0] == ScaleJitter(256, 512, 224)
        assert jitter.augmentation[1:] == small.augmentation[1:]
        for run, before in ((fixed, f"{name}_imagenet"), (jitter, f"{name}_imagenet_s384")):
            assert run.image_size == (384, 384)  # Q of Table 3
            assert run.schedule.rate == 0.001
            assert run.start_from.path == f"runs/{before}/imagenet2012-seed0"
            assert (run.model, run.optimizer) == (small.model, small.optimizer)
    trace_experiment(runs["vgg_c_imagenet_jitter"])


def _edited(study, setting, arm):
    return study.arms[arm].edit(study.settings[setting]).model


def test_the_arms_of_the_depth_study_are_the_papers_configurations():
    assert set(DEPTH.arms) == set(TABLES)
    for arm, table in TABLES.items():
        model = _edited(DEPTH, "imagenet2012", arm)
        assert model.table == table
        assert count_parameters(model) == VGG[f"vgg_{arm}"].parameters


def test_the_narrow_networks_of_the_depth_study_have_an_eighth_of_every_width():
    for arm, table in TABLES.items():
        model = _edited(DEPTH, "cifar10", arm)
        assert [row.name for row in model.table] == [row.name for row in table]
        for row, printed in zip(model.table, table, strict=True):
            if isinstance(row, Conv | Dense):
                assert 8 * row.features == printed.features
            if isinstance(row, Conv):
                assert row.kernel == printed.kernel
        assert trace_output(model) == (1, 10)
        assert count_macs(model) <= 8_000_000


def test_the_published_columns_of_the_depth_study_are_table_3():
    for column, place in zip(DEPTH.published, ("top1", "top5"), strict=True):
        for arm, error in column.values.items():
            first = VGG[f"vgg_{arm}"].published[0]
            assert "S = Q = 256" in first.protocol
            assert getattr(first, place) == error


@pytest.mark.parametrize(
    ("arm", "parameters"),
    [
        # Zeiler & Fergus 2014, Table 3, by arithmetic.
        ("full", 62_357_608),
        ("fc_half", 28_848_232),
        ("fc_double", 154_542_184),
        ("wide", 107_627_624),
        ("wide_fc_double", 237_560_936),
    ],
)
def test_the_arms_of_the_width_study_have_the_parameters_of_the_arithmetic(arm, parameters):
    assert count_parameters(_edited(WIDTHS, "imagenet2012", arm)) == parameters
    small = _edited(WIDTHS, "cifar10", arm)
    assert trace_output(small) == (1, 10)
    assert count_macs(small) <= 8_000_000


def test_the_widest_arm_of_table_3_is_zfnet_wide():
    wide = _edited(WIDTHS, "imagenet2012", "wide")
    assert wide.table == ZFNET["zfnet_wide"].build().table


def test_the_published_columns_of_the_width_study_hold_the_numbers_of_the_networks():
    top1, top5 = WIDTHS.published[1:]
    for arm, name in (("full", "zfnet"), ("wide", "zfnet_wide")):
        published = ZFNET[name].published[0]
        assert (top1.values[arm], top5.values[arm]) == (published.top1, published.top5)
