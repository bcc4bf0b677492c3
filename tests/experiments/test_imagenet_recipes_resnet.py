"""The recipes and studies of the residual family."""

import jax
import numpy as np
import pytest

from cnn_jax.analysis.compute import count_macs
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.resized_crop import ScaleJitter
from cnn_jax.experiment.program import trace_experiment
from cnn_jax.layers.tracing import count_parameters, trace_variables
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.plateau import plateau_of
from experiments import (
    cifar_resnet,
    imagenet_resnet,
    plain_vs_residual,
    residual_shortcuts,
)

RECIPES = {**imagenet_resnet.EXPERIMENTS, **cifar_resnet.EXPERIMENTS}
# test_declared.py traces a step of every recipe; here one of each kind.
TRACED = [
    "plain34_imagenet",
    pytest.param("resnet50_imagenet", marks=pytest.mark.slow),
    "resnet20_cifar10",
    pytest.param("resnet110_stochastic_depth_cifar10", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name", TRACED)
def test_a_step_gives_back_the_parameters_and_statistics_that_it_got(name):
    experiment = RECIPES[name]
    state = trace_experiment(experiment)
    expected = trace_variables(experiment.model)
    assert jax.tree.map(lambda leaf: leaf.shape, state.params) == jax.tree.map(
        lambda leaf: leaf.shape, expected["params"]
    )
    assert jax.tree.structure(state.batch_stats) == jax.tree.structure(
        expected["batch_stats"]
    )


def test_every_network_of_the_family_has_its_recipe():
    assert set(RECIPES) == {
        *(f"{n}_imagenet" for n in ("plain18", "plain34", "resnet18", "resnet34")),
        *(f"resnet{depth}_imagenet" for depth in (50, 101, 152)),
        *(f"plain{depth}_cifar10" for depth in (20, 32, 44, 56, 110)),
        *(f"resnet{depth}_cifar10" for depth in (20, 32, 44, 56, 110, 1202)),
        "resnet110_stochastic_depth_cifar10",
    }


def test_the_rate_falls_after_32000_and_48000_of_64000_steps():
    for name in ("resnet20_cifar10", "plain110_cifar10"):
        experiment = RECIPES[name]
        steps_per_epoch = 45_000 / experiment.batch_size
        assert experiment.epochs * steps_per_epoch == pytest.approx(64_000, abs=1e-6)
        rate = experiment.schedule.build(steps_per_epoch)
        rates = [float(rate(s)) for s in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
        assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
        assert experiment.optimizer == Sgd(momentum=0.9, weight_decay=1e-4)
        assert (experiment.batch_size, experiment.train_examples) == (128, None)


@pytest.mark.parametrize("name", ["resnet110_cifar10", "resnet1202_cifar10"])
def test_the_deepest_begin_with_400_steps_at_a_tenth(name):
    rate = RECIPES[name].schedule.build(45_000 / 128)
    steps = np.array([0, 399, 400, 31_999, 32_000, 48_000])
    assert rate(steps).tolist() == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.001])


def test_imagenet_recipes_have_the_papers_numbers():
    for name in imagenet_resnet.EXPERIMENTS:
        experiment = RECIPES[name]
        steps = experiment.epochs * 1_281_167 / experiment.batch_size
        assert steps == pytest.approx(600_000)
        assert experiment.batch_size == 256
        assert (experiment.schedule.rate, experiment.schedule.factor) == (0.1, 0.1)
        assert plateau_of(experiment.schedule) is experiment.schedule
        assert experiment.optimizer == Sgd(momentum=0.9, weight_decay=1e-4)
        assert experiment.image_shape == (256, 256, 3)
        assert experiment.augmentation == (
            ScaleJitter(256, 480, 224),
            HorizontalFlip(),
            PcaColourNoise(0.1),
        )


def test_stochastic_depth_has_its_papers_recipe():
    experiment = RECIPES["resnet110_stochastic_depth_cifar10"]
    assert experiment.model.survival == 0.5
    assert experiment.epochs == 500
    assert experiment.schedule.at_epochs == (250, 375)
    assert experiment.optimizer == Sgd(momentum=0.9, weight_decay=1e-4, nesterov=True)


def test_the_small_networks_cost_a_sixteenth_and_keep_the_layers():
    for n, depth in ((3, 20), (9, 56)):
        printed = RECIPES[f"plain{depth}_cifar10"].model
        small = printed.clone(table=cifar_resnet.small_table(n))
        assert [(r.name, type(r)) for r in small.table] == [
            (r.name, type(r)) for r in printed.table
        ]
        # conv1 has 3 input channels in both and fc 10 outputs, so they fall less.
        assert count_macs(printed) / count_macs(small) == pytest.approx(16, rel=0.03)


def test_plain_and_residual_arms_differ_in_shortcuts_and_depth_alone():
    study = plain_vs_residual.STUDY
    for setting, deep in (("cifar10", 27), ("imagenet2012", 16)):
        models = {n: a.edit(study.settings[setting]).model for n, a in study.arms.items()}
        counts = {name: count_parameters(model) for name, model in models.items()}
        assert counts["plain_shallow"] == counts["residual_shallow"]
        assert counts["plain_deep"] == counts["residual_deep"] > counts["plain_shallow"]
        shortcuts = [model.shortcut for model in models.values()]
        assert shortcuts == ["none", "none", "A", "A"]
        blocks = [r for r in models["plain_deep"].table if hasattr(r, "stride")]
        assert sum(r.name.count("_") for r in blocks) == deep


def test_option_c_has_a_projection_in_each_block_of_both_settings():
    study = residual_shortcuts.STUDY
    counts = {"cifar10": (0, 0, 2, 9), "imagenet2012": (0, 0, 3, 16)}
    for setting, expected in counts.items():
        for (name, arm), projections in zip(study.arms.items(), expected, strict=True):
            model = arm.edit(study.settings[setting]).model
            params = trace_variables(model)["params"]
            assert sum("shortcut" in row for row in params.values()) == projections, name
