import jax
import pytest

from cnn_jax.analysis.compute import count_macs
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.photometric import PhotometricDistortion
from cnn_jax.data.resized_crop import RandomResizedCrop
from cnn_jax.experiment.program import trace_experiment
from cnn_jax.layers.tracing import count_parameters, trace_variables
from cnn_jax.optim.optimizers import RmsProp
from cnn_jax.optim.regularization import ClipByGlobalNorm
from cnn_jax.training.losses import LabelSmoothing
from experiments.imagenet_inception import EXPERIMENTS
from experiments.inception_auxiliary_heads import STUDY

IMAGES = 1_281_167  # of the training split of ILSVRC-2012


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # With auxiliary heads: papers/reference.json.
        ("googlenet_imagenet", 13_378_280),
        pytest.param("bn_inception_imagenet", 11_194_984, marks=pytest.mark.slow),
        pytest.param("inception_v3_imagenet", 27_161_264, marks=pytest.mark.slow),
    ],
)
def test_a_recipe_traces_and_trains_the_heads_too(name, parameters):
    state = trace_experiment(EXPERIMENTS[name])
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == parameters


def test_images_are_changed_as_the_papers_and_the_released_program_say():
    googlenet, less, v3 = (
        EXPERIMENTS[f"{name}_imagenet"].augmentation
        for name in ("googlenet", "bn_inception", "inception_v3")
    )
    aspect = (3 / 4, 4 / 3)
    crop = RandomResizedCrop(224, 224, (0.08, 1.0), aspect)
    howard = (PhotometricDistortion(0.5, 0.5, 0.5), PcaColourNoise(0.1))
    assert googlenet == (crop, HorizontalFlip(), *howard)
    assert less[:2] == googlenet[:2]
    assert less[2].contrast < 0.5  # "reduce the photometric distortions"
    assert v3[0] == RandomResizedCrop(299, 299, (0.05, 1.0), aspect)
    assert v3[2] == PhotometricDistortion(32 / 256, 0.5, 0.5)
    for experiment in EXPERIMENTS.values():  # evaluated on the central 7/8
        side = experiment.model.input_shape[0]
        assert side / experiment.image_size[0] == pytest.approx(7 / 8, abs=0.001)


def _rate(name, epoch):
    experiment = EXPERIMENTS[name]
    steps = IMAGES / experiment.batch_size
    return float(experiment.schedule.build(steps)(round(epoch * steps) + 1))


@pytest.mark.parametrize(
    ("name", "epoch", "rate"),
    [
        ("googlenet_imagenet", 0, 0.01),
        ("googlenet_imagenet", 7.9, 0.01),
        ("googlenet_imagenet", 8, 0.0096),
        ("googlenet_imagenet", 249, 0.01 * 0.96**31),
        ("bn_inception_imagenet", 1.3, 0.045),
        ("bn_inception_imagenet", 8, 0.045 * 0.96**6),
        ("bn_inception_imagenet", 149.9, 0.045 * 0.96**112),
        ("inception_v3_imagenet", 1.9, 0.045),
        ("inception_v3_imagenet", 10, 0.045 * 0.94**5),
        ("inception_v3_imagenet", 99, 0.045 * 0.94**49),
    ],
)
def test_the_rate_falls_as_the_paper_says(name, epoch, rate):
    assert _rate(name, epoch) == pytest.approx(rate, rel=1e-6)


def test_inception_v3_is_trained_as_section_8_says():
    experiment = EXPERIMENTS["inception_v3_imagenet"]
    assert experiment.optimizer == RmsProp(
        0.9, 1.0, 0.9, 4e-5, decay_biases=False, clip=ClipByGlobalNorm(2.0)
    )
    assert experiment.loss == LabelSmoothing(0.1)
    assert experiment.auxiliary_weight == 0.4


def test_googlenet_and_inception_v3_are_evaluated_with_averaged_parameters():
    averages = {name: type(e.averaging).__name__ for name, e in EXPERIMENTS.items()}
    assert averages == {
        "googlenet_imagenet": "PolyakAverage",
        "bn_inception_imagenet": "NoneType",
        "inception_v3_imagenet": "ExponentialAverage",
    }


def test_the_lengths_are_the_steps_that_the_sources_print():
    steps = {
        name: experiment.epochs * IMAGES / experiment.batch_size
        for name, experiment in EXPERIMENTS.items()
    }
    assert steps["googlenet_imagenet"] == pytest.approx(10e6, rel=0.001)
    assert steps["bn_inception_imagenet"] == pytest.approx(6e6, rel=0.002)


def test_the_small_setting_is_small():
    small = STUDY.settings["cifar10"]
    assert count_macs(small.model) <= 8_000_000
    assert small.train_examples == 10_000
    assert STUDY.settings["imagenet2012"] is EXPERIMENTS["googlenet_imagenet"]


@pytest.mark.parametrize(
    "setting", ["cifar10", pytest.param("imagenet2012", marks=pytest.mark.slow)]
)
def test_the_arms_differ_in_their_heads_alone(setting):
    baseline = STUDY.settings[setting]
    main = count_parameters(baseline.model)
    heads = {}
    for name, arm in STUDY.arms.items():
        experiment = arm.edit(baseline)
        assert count_parameters(experiment.model) == main
        params = trace_variables(experiment.model)["params"]
        heads[name] = sorted(scope for scope in params if scope.startswith("aux"))
        if name != "weight_1":
            assert experiment.auxiliary_weight == 0.3
    assert heads == {
        "both": ["aux1", "aux2"],
        "upper": ["aux2"],
        "lower": ["aux1"],
        "none": [],
        "weight_1": ["aux1", "aux2"],
    }
