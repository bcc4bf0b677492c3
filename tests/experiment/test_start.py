"""Start from trained weights: what is copied, what stays, and whose weights they were."""

import dataclasses
import hashlib
import json
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax.traverse_util import flatten_dict

from cnn_jax import UserError
from cnn_jax.codec import decode, encode
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.experiment.load import load_run
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import run, run_manifest
from cnn_jax.experiment.start import StartFrom, digest_of_start, starting_weights
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import Classifier, Conv
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.models.vgg import TABLES, VGG
from cnn_jax.training.averaging import ExponentialAverage
from cnn_jax.training.progress import Silent
from cnn_jax.weights.export import export_weights
from cnn_jax.weights.network_file import write_network
from cnn_jax.weights.sources import weight_source
from experiments import imagenet_vgg_staged
from tests.layers.small_residual_networks import random_variables
from tests.tiny import MODEL, QUIET, variant

# Two batch normalisations: that of conv1 will be frozen, that of conv2 trained.
NORMALISED = ResidualNetwork(
    num_classes=10,
    input_shape=(8, 8, 1),
    table=(
        Conv("conv1", 4, 3, 2, 1),
        Conv("conv2", 4, 3),
        GlobalAveragePool("gap"),
        Classifier("out"),
    ),
    batch_norm=BatchNorm(momentum=0.5),
)
PRETRAINING = variant(
    model=NORMALISED,
    augmentation=(),
    train_examples=100,
    epochs=2,
    averaging=ExponentialAverage(0.5),
)


class Killed(BaseException):
    """Ends a run like a kill: nothing is cleaned up on the way."""


class KillAfterEpoch(Silent):
    """Kills the run after the checkpoint of its first epoch, in the second."""

    epochs = 0

    def epoch(self, row):
        self.epochs += 1
        if self.epochs == 2:
            raise Killed


def start(path, **fields):
    return StartFrom(path=str(path), **fields)


def tuned(path, **fields):
    """Another seed, other classes (which synthetic images do not have), conv1 frozen."""
    fields = {"start_from": start(path, fresh=("out",)), "freeze": ("conv1*",)} | fields
    return dataclasses.replace(
        PRETRAINING,
        model=NORMALISED.clone(num_classes=12),
        averaging=None,
        seed=9,
        **fields,
    )


@pytest.fixture(scope="module")
def bench():
    return Workbench(QUIET)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "source"
    run(PRETRAINING, directory, workbench=Workbench(QUIET))
    return directory


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory, source, bench):
    directory = tmp_path_factory.mktemp("finetuned")
    return directory, run(tuned(source), directory, workbench=bench)


@pytest.fixture
def exported(tmp_path, draw):
    """A file of ``MODEL`` with random weights, and these."""
    path, variables = tmp_path / "weights.safetensors", random_variables(MODEL, draw)
    pixels = np.ones((1, 1, 1), np.float32)
    write_network(path, MODEL, variables, Preprocessing(0 * pixels, pixels))
    return path, variables


def leaves(tree):
    return {"/".join(path): leaf for path, leaf in flatten_dict(tree).items()}


def test_frozen_layers_stay_bitwise_and_the_new_head_is_trained(source, finetuned, bench):
    experiment, given = tuned(source), leaves(load_run(source).variables)
    program = bench.program(experiment)
    weights = starting_weights(experiment.start_from, experiment.model)
    state = program.init(np.uint32(9), program.devices.place(weights))
    before = leaves({"params": state.params, "batch_stats": state.batch_stats})
    after = leaves(load_run(finetuned[0]).variables)
    assert np.any(given["batch_stats/conv1_norm/mean"] != 0)
    assert given.keys() == before.keys() == after.keys()
    for name, leaf in after.items():
        if name.startswith("params/out"):  # 12 classes, drawn
            assert leaf.shape[-1] == 12
        else:  # of the average, which is what was evaluated
            np.testing.assert_array_equal(before[name], given[name], err_msg=name)
        if "/conv1" in name:
            np.testing.assert_array_equal(leaf, before[name], err_msg=name)
        else:
            assert np.any(leaf != before[name]), name


def test_the_optimizer_remembers_trained_parameters_alone(source, bench):
    experiment = tuned(source)
    weights = starting_weights(experiment.start_from, experiment.model)
    state = jax.eval_shape(bench.program(experiment).init, np.uint32(9), weights)
    trained = {
        n: leaf for n, leaf in leaves(state.params).items() if not n.startswith("conv1")
    }
    velocity = [
        leaf.shape for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim and leaf.size
    ]
    assert sorted(velocity) == sorted(leaf.shape for leaf in trained.values())


def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path, source, finetuned, bench):
    with pytest.raises(Killed):
        run(tuned(source), tmp_path, workbench=bench, progress=KillAfterEpoch())
    result = run(tuned(source), tmp_path, workbench=bench)
    assert result["resumed_at_step"] == 2
    assert result["parameters_sha256"] == finetuned[1]["parameters_sha256"]


def test_the_weights_count_and_not_their_place(tmp_path, source, finetuned, bench):
    directory, result = finetuned
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    assert digest_of_start(start(moved)) == digest_of_start(start(source))
    assert run(tuned(moved), directory, workbench=bench) == result
    found = json.loads((moved / "result.json").read_text())
    (moved / "result.json").write_text(json.dumps(found | {"parameters_sha256": "0" * 64}))
    with pytest.raises(UserError, match="holds a different run"):
        run(tuned(moved), directory, workbench=bench)
    # The same parameters, but not averaged: other weights to begin with.
    shutil.copy(source / "result.json", moved)
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["experiment"]["fields"]["averaging"] = None
    (moved / "manifest.json").write_text(json.dumps(manifest))
    assert digest_of_start(start(moved)) == found["parameters_sha256"]
    assert digest_of_start(start(moved)) != digest_of_start(start(source))


def test_a_file_gives_the_layers_that_are_asked_for(exported):
    path, variables = exported
    wide = MODEL.clone(num_classes=3)
    found = starting_weights(start(path, copy=("conv*", "fc1/bias")), wide)
    expected = {
        name: leaf
        for name, leaf in leaves(variables).items()
        if "conv" in name or name == "params/fc1/bias"
    }
    assert len(expected) == 5
    assert leaves(found).keys() == expected.keys()
    for name, leaf in leaves(found).items():
        np.testing.assert_array_equal(leaf, expected[name], strict=True)
    assert digest_of_start(start(path)) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_another_librarys_file_gives_all_but_the_head(tmp_path, draw):
    source = weight_source("torchvision/resnet18")
    model = source.build(num_classes=1000)
    variables, path = random_variables(model, draw), tmp_path / "resnet18.pth"
    export_weights(source.name, path, model, variables)
    begin = start(path, weights=source.name, fresh=("fc",))
    found = leaves(starting_weights(begin, model.clone(num_classes=7)))
    expected = {n: a for n, a in leaves(variables).items() if "/fc/" not in n}
    assert found.keys() == expected.keys()
    for name, leaf in found.items():
        np.testing.assert_array_equal(leaf, expected[name], strict=True)
    with pytest.raises(UserError, match=r"fc/kernel is \[512, 1000\] there, \[512, 7\]"):
        starting_weights(dataclasses.replace(begin, fresh=()), model.clone(num_classes=7))


def test_half_a_normalisation_leaves_its_statistics(source):
    def statistics(**fields):
        found = starting_weights(start(source, **fields), NORMALISED)
        return {name.rpartition("/")[0] for name in leaves(found.get("batch_stats", {}))}

    assert statistics(copy=("conv1",)) == set()
    assert statistics(copy=("conv1_norm/scale",)) == set()
    assert statistics(copy=("conv1_norm",)) == {"conv1_norm"}
    assert statistics(fresh=("conv2_norm/bias", "out")) == {"conv1_norm"}


def test_weights_that_do_not_fit_are_named_with_both_shapes(exported):
    path, _ = exported
    said = (
        r"out/bias is \[10\] there, \[3\] here; out/kernel is \[16, 10\] there, "
        r"\[16, 3\] here; to draw them, name their layers: fresh=\('out', \.\.\.\)"
    )
    with pytest.raises(UserError, match=said):
        starting_weights(start(path), MODEL.clone(num_classes=3))
    deeper = MODEL.clone(
        table=(*MODEL.table[:3], Conv("conv3", 8, 3, padding=1), *MODEL.table[3:])
    )
    with pytest.raises(UserError, match=r"it lacks conv3/bias, conv3/kernel; .*'conv3'"):
        starting_weights(start(path), deeper)
    starting_weights(start(path, fresh=("conv3",)), deeper)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"copy": ("conf1",)}, "start_from, copy: pattern 'conf1' .* did you mean conv1"),
        ({"fresh": ("ot",)}, "start_from, fresh: pattern 'ot' .* did you mean out"),
        ({"fresh": ("*",)}, "leave nothing to copy"),
    ],
)
def test_patterns_that_choose_nothing_are_refused(fields, said, exported):
    with pytest.raises(UserError, match=said):
        starting_weights(start(exported[0], **fields), MODEL)


def test_sources_that_are_none_are_one_clear_line(tmp_path, source, exported):
    (tmp_path / "notes.txt").write_text("weights\n")
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    for status in ("diverged", "finished"):
        (tmp_path / status).mkdir()
        shutil.copy(source / "manifest.json", tmp_path / status)
    (tmp_path / "diverged" / "result.json").write_text('{"status": "diverged"}')
    for fields, said in (
        ({"path": "runs/a/mnist-seed3"}, "train a --dataset mnist --seed 3"),
        ({"path": "nowhere.pth"}, "nowhere.pth does not exist; a finished run"),
        ({"path": tmp_path}, "is not a run directory"),
        ({"path": tmp_path / "diverged"}, "is diverged"),
        ({"path": tmp_path / "finished"}, "is not finished"),
        ({"path": tmp_path / "notes.txt"}, "is text; weights are read from"),
        ({"path": tmp_path / "other.safetensors"}, "does not say what it holds"),
        ({"path": exported[0], "weights": "torchvision/vgg61"}, "torchvision/vgg16"),
        ({"path": source, "weights": "torchvision/vgg16"}, "is for a file; .* is a run"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            digest_of_start(start(**fields))
        assert "\n" not in str(caught.value)


def test_it_can_be_recorded(source, bench):
    experiment = tuned(source)
    assert decode(encode(experiment)) == experiment
    manifest = run_manifest(experiment, bench)
    assert manifest["started_from"] == digest_of_start(experiment.start_from)


def test_vgg_starts_from_the_first_four_convolutions_of_a():
    # Simonyan & Zisserman 2015, Section 3.1; maps of Table 1.
    rows = [row for row in TABLES["a"] if isinstance(row, Conv)]
    first = tuple(row.name for row in rows[:4])
    assert first == imagenet_vgg_staged.FROM_A[:4]
    assert [row.features for row in rows[:4]] == [64, 128, 256, 256]
    a = trace_variables(VGG(table=TABLES["a"]))["params"]
    for experiment in imagenet_vgg_staged.EXPERIMENTS.values():
        copy = experiment.start_from.copy
        assert len(copy) == 7
        params = trace_variables(experiment.model)["params"]
        assert {name: params[name] for name in copy} == {name: a[name] for name in copy}
        assert experiment.freeze == ()
