"""Contract tests over everything that experiments/ declares."""

import re

import pytest

from cnn_jax.codec import decode, encode
from cnn_jax.experiment.program import trace_experiment
from cnn_jax.experiment.source_files import declaring_files, packaged_directory
from cnn_jax.layers.tracing import count_parameters
from cnn_jax.study.declared import load_all

DECLARED = load_all(packaged_directory())
SETTINGS = {
    f"{study}/{setting}": (DECLARED.studies[study], setting)
    for study in DECLARED.studies
    for setting in DECLARED.studies[study].settings
}


def test_everything_in_the_folder_is_found():
    assert {"alexnet_layer_removal", "activation_functions"} <= set(DECLARED.studies)
    assert "lenet5_mnist" in DECLARED.experiments
    assert "alexnet_baselines" not in declaring_files(packaged_directory())


@pytest.mark.parametrize(
    "name",
    [  # a traced step of many layers takes seconds; the shallow ones are built alike
        pytest.param(name, marks=pytest.mark.slow)
        if re.match(
            r"resnet(32|34|44|50|56|101|110|152|1202)|plain(32|34|44|56|110)|inception_v3|"
            r"bn_inception|googlenet|prelu_net_[bc]|vgg_.*_(s384|jitter|staged)|mcdnn.*_w",
            name,
        )
        else name
        for name in DECLARED.experiments
    ],
)
def test_every_experiment_traces_and_can_be_recorded(name):
    experiment = DECLARED.experiments[name]
    assert encode(decode(encode(experiment))) == encode(experiment)
    state = trace_experiment(experiment)
    assert state.step.shape == ()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if "auxiliary_heads" in name else name
        for name in SETTINGS
    ],
)
def test_every_arm_of_every_setting_traces_and_can_be_recorded(name):
    study, setting = SETTINGS[name]
    for arm in study.arms.values():
        experiment = arm.edit(study.settings[setting])
        assert encode(decode(encode(experiment))) == encode(experiment)
        assert count_parameters(experiment.model) > 0
    trace_experiment(study.settings[setting])


@pytest.mark.parametrize("name", DECLARED.studies)
def test_published_numbers_belong_to_arms(name):
    study = DECLARED.studies[name]
    for column in study.published:
        assert set(column.values) <= set(study.arms), column.title
        assert column.source


def test_the_printed_removals_are_those_of_the_issue():
    study = DECLARED.studies["alexnet_layer_removal"]
    printed = study.settings[study.printed]
    full = count_parameters(printed.model)
    removed = {
        name: full - count_parameters(arm.edit(printed).model)
        for name, arm in study.arms.items()
        if name.startswith("without")
    }
    # PAPERS.md section 4, "Layer removal", grouped network; by arithmetic there.
    assert removed == {
        "without_7": 16_781_312,
        "without_6_7": 49_414_144,
        "without_3_4": 1_696_512,
        "without_3_4_6_7": 51_110_656,
    }
    halves = study.arms["fc_half"].edit(printed).model
    assert [row.features for row in halves.table[-3:-1]] == [2048, 2048]
