"""``cnn-jax export`` and ``import-weights``: what was written is what is evaluated."""

import json

import jax
import numpy as np
import pytest
import tyro

from cnn_jax.cli.export import Export
from cnn_jax.cli.import_weights import ImportWeights
from cnn_jax.cli.sources import load_source
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import run
from cnn_jax.layers.rows import Classifier
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.weights.network_file import About, read_about, write_network
from tests.tiny import MODEL, QUIET, variant


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with a run that keeps its images larger than its network's input."""
    directory = tmp_path_factory.mktemp("home")
    linear = variant(
        model=MODEL.clone(table=(Classifier("out"),)),
        augmentation=(),
        image_size=(10, 10),
        epochs=0.5,
        train_examples=200,
    )
    run(linear, directory / "run", workbench=Workbench(QUIET))
    return directory


@pytest.fixture
def call(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def command(kind, *arguments):
        made = tyro.cli(kind, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
        assert made() == 0
        return capsys.readouterr().out

    return command


def test_an_exported_run_is_the_run_bit_by_bit_with_classes_and_image_size(call):
    call(Export, "run", "network.safetensors")
    run_, file = load_source("run"), load_source("network.safetensors")
    assert file.network.model == run_.network.model
    for ours, theirs in zip(
        (*file.network.preprocessing, file.network.variables["params"]["out"]["kernel"]),
        (*run_.network.preprocessing, run_.network.variables["params"]["out"]["kernel"]),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert file.classes == run_.classes
    assert len(file.classes) == 10
    assert file.image_size == (10, 10)


def test_the_extension_says_what_is_written_and_nothing_is_overwritten(call, home):
    told = json.loads(call(Export, "run", "network.stablehlo", "--json"))
    assert told["bytes"] == (home / "network.stablehlo").stat().st_size
    with pytest.raises(UserError, match="is there already; nothing was changed"):
        call(Export, "run", "network.stablehlo")
    with pytest.raises(UserError, match=r"\.safetensors \(.*\.pth \(.*\.stablehlo \("):
        call(Export, "run", "network.onnx")
    with pytest.raises(UserError, match=r"\.pth needs --architecture"):
        call(Export, "run", "network.pth")
    with pytest.raises(UserError, match="computes something else than torchvision/alexnet"):
        call(Export, "run", "network.pth", "--architecture", "torchvision/alexnet")
    assert not (home / "network.pth").exists()


def test_weights_without_arguments_are_listed_with_their_resizing(call):
    rows = {row["name"]: row for row in json.loads(call(ImportWeights, "--json"))}
    assert rows["torchvision/inception_v3"]["resize"] == 342
    assert rows["keras/vgg16"]["crop"] == 224
    assert "torchvision/vgg11_bn" in call(ImportWeights)


def test_a_file_that_is_no_weights_file_leaves_nothing(call, home):
    (home / "page.pth").write_bytes(b"<!DOCTYPE html><html>not found</html>")
    with pytest.raises(UserError, match=r"page\.pth"):
        call(ImportWeights, "torchvision/resnet18", "page.pth")
    with pytest.raises(UserError, match="resnet18"):
        call(ImportWeights, "torchvision/resnet81", "page.pth")
    with pytest.raises(UserError, match="say which file"):
        call(ImportWeights, "torchvision/resnet18")
    assert not list(home.glob("torchvision-*"))


def test_imported_weights_remember_their_resizing(tmp_path):
    model = MODEL.clone(table=(Classifier("out"),))
    variables = jax.tree.map(lambda a: np.zeros(a.shape, "f4"), trace_variables(model))
    ones = np.ones((1, 1, 1), np.float32)
    about = About(origin="torchvision/resnet18")
    path = tmp_path / "file.safetensors"
    write_network(path, model, variables, Preprocessing(ones, ones), about)
    assert read_about(path) == about
    assert load_source(path).weights == "torchvision/resnet18"
