"""Files on disk: ``load_weights`` and ``export_weights``."""

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.weights import load_weights
from cnn_jax.weights.export import export_weights
from cnn_jax.weights.network_file import write_network
from cnn_jax.weights.safetensors_files import write_safetensors
from cnn_jax.weights.sources import declared_sources, weight_source
from cnn_jax.weights.torch_files import read_torch
from cnn_jax.weights.torch_writing import write_torch
from tests.weights.ours_as_torchvision import zeros
from tests.weights.seeded import seeded_weights

NAME = "torchvision/resnet18"


@pytest.fixture(scope="module")
def arrays():
    """ResNet-18 for three classes, 43 MiB, as torchvision would write it."""
    source = weight_source(NAME)
    model = source.build(num_classes=3)
    shapes = {k: a.shape for k, a in source.to_arrays(zeros(model), model).items()}
    return seeded_weights(shapes)


@pytest.fixture(scope="module")
def file(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    write_torch(path, arrays)
    return path


@pytest.fixture(scope="module")
def loaded(file):
    return load_weights(NAME, file)


def test_a_torch_file_gives_network_weights_and_preprocessing(loaded, arrays):
    assert loaded.model.num_classes == 3
    assert loaded.preprocessing is weight_source(NAME).preprocessing
    kernel = loaded.variables["params"]["conv3_1"]["shortcut"]["kernel"]
    theirs = arrays["layer2.0.downsample.0.weight"]
    np.testing.assert_array_equal(kernel, theirs.transpose(2, 3, 1, 0))
    mean = loaded.variables["batch_stats"]["conv5_2"]["conv2_norm"]["mean"]
    np.testing.assert_array_equal(mean, arrays["layer4.1.bn2.running_mean"])
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loaded.variables))


def test_a_safetensors_file_with_torchvisions_names_is_read_too(loaded, arrays, tmp_path):
    path = tmp_path / "resnet18"
    write_safetensors(path, arrays, {"format": "pt"})
    again = load_weights(NAME, path)
    assert jax.tree.all(jax.tree.map(np.array_equal, again.variables, loaded.variables))


def test_what_is_exported_is_what_was_imported_bit_by_bit(loaded, arrays, tmp_path):
    path = tmp_path / "out.pth"
    export_weights(NAME, path, loaded.model, loaded.variables)
    written = read_torch(path)
    assert set(written) == set(arrays)
    for key, array in arrays.items():
        assert written[key].dtype == array.dtype
        np.testing.assert_array_equal(written[key], array)
    # The printed network computes the same, but for how it is trained.
    printed = cnn_jax.create_model("resnet18", num_classes=3)
    export_weights(NAME, tmp_path / "same.pth", printed, loaded.variables)
    assert (tmp_path / "same.pth").read_bytes() == path.read_bytes()


def test_a_network_that_computes_something_else_is_not_exported(tmp_path):
    for name, source in [
        ("vgg_a_lrn", "torchvision/vgg11"),
        ("vgg_a", "torchvision/vgg11_bn"),
        ("alexnet", "torchvision/alexnet"),
    ]:
        model = cnn_jax.create_model(name)
        with pytest.raises(UserError, match=f"computes something else than {source}"):
            export_weights(source, tmp_path / "out.pth", model, zeros(model))
    model = cnn_jax.create_model("vgg_a")
    with pytest.raises(
        UserError, match=r"unknown architecture to export .*torchvision/vgg11"
    ):
        export_weights("torchvision/vgg12", tmp_path / "out.pth", model, zeros(model))
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.slow
def test_the_stride_of_a_bottleneck_and_what_a_mean_divides_by_are_seen(tmp_path):
    for name, source, field in [
        ("resnet50", "torchvision/resnet50", {"stride_in": "3x3"}),
        ("inception_v3", "torchvision/inception_v3", {"count_padding": True}),
    ]:
        model = cnn_jax.create_model(name)
        with pytest.raises(UserError, match="computes something else"):
            export_weights(source, tmp_path / "out.pth", model, zeros(model))
        export_weights(source, tmp_path / "out.pth", model.clone(**field), zeros(model))


def test_a_file_is_refused_with_its_path_and_the_reason(file, tmp_path):
    refusals = {
        "resnet18.pth has 3 classes, not 10": (NAME, file, 10),
        "resnet18.pth is not torchvision/alexnet: missing: classifier.6.weight": (
            "torchvision/alexnet",
            file,
            None,
        ),
        "resnet18.pth is not torchvision/resnet34: missing: layer1.2.bn1.bias": (
            "torchvision/resnet34",
            file,
            None,
        ),
        r"unknown weights 'resnet18'; did you mean .*torchvision/resnet18\?": (
            "resnet18",
            file,
            None,
        ),
        "nothing.pth can't be read": (NAME, tmp_path / "nothing.pth", None),
        "resnet18.pth is no network that cnn_jax exported": ("cnn_jax", file, None),
    }
    for message, (name, path, classes) in refusals.items():
        with pytest.raises(UserError, match=message) as refusal:
            load_weights(name, path, num_classes=classes)
        assert "\n" not in str(refusal.value)


def test_a_truncated_file_is_refused(file, tmp_path):
    short = tmp_path / "short.pth"
    short.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"short\.pth can't be read as a torch file"):
        load_weights(NAME, short)


def test_a_file_of_our_own_is_loaded_as_such(tmp_path):
    model = cnn_jax.create_model("mlp")
    path = tmp_path / "mlp.safetensors"
    preprocessing = weight_source(NAME).preprocessing
    write_network(path, model, zeros(model), preprocessing)
    with pytest.raises(UserError, match=r"mlp.safetensors .* load it as 'cnn_jax'"):
        load_weights(NAME, path)
    with pytest.raises(UserError, match="has 10 classes, not 3"):
        load_weights("cnn_jax", path, num_classes=3)


def test_sources_are_declared_under_their_own_names():
    sources = declared_sources()
    assert {"torchvision/vgg16", "keras/resnet50"} <= set(sources)
    assert all(name == source.name for name, source in sources.items())
