import json

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.layers.rows import Classifier, Conv, MaxPool
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.models.vgg_bn import VGGBatchNorm
from cnn_jax.weights import load_weights
from cnn_jax.weights.network_file import read_network, write_network
from cnn_jax.weights.safetensors_files import read_safetensors, write_safetensors

MODEL = VGGBatchNorm(
    num_classes=3,
    input_shape=(8, 8, 2),
    table=(Conv("conv1", 4, 3, padding=1), MaxPool("pool1", 2, 2), Classifier("fc")),
)
PREPROCESSING = Preprocessing(
    np.arange(128, dtype=np.float32).reshape(8, 8, 2), np.ones((1, 1, 2), np.float32)
)


@pytest.fixture
def variables(draw):
    return jax.tree.map(
        lambda leaf: draw.standard_normal(leaf.shape).astype(np.float32),
        trace_variables(MODEL),
    )


@pytest.fixture
def file(tmp_path, variables):
    path = tmp_path / "network.safetensors"
    write_network(path, MODEL, variables, PREPROCESSING)
    return path


def rewritten(file, change):
    arrays, metadata = read_safetensors(file)
    change(arrays, metadata)
    write_safetensors(file, arrays, metadata)
    return file


def test_a_network_comes_back_as_it_was_written_bit_by_bit(file, variables):
    model, found, preprocessing = read_network(file)
    assert model == MODEL
    assert jax.tree.structure(found) == jax.tree.structure(variables)
    assert jax.tree.all(jax.tree.map(np.array_equal, found, variables))
    for ours, theirs in zip(preprocessing, PREPROCESSING, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    loaded = load_weights("cnn_jax", file, num_classes=3)
    assert loaded.model == MODEL
    assert jax.tree.all(jax.tree.map(np.array_equal, loaded.variables, variables))


def test_the_same_network_gives_the_same_bytes(file, variables, tmp_path):
    other = tmp_path / "again.safetensors"
    write_network(other, MODEL, variables, PREPROCESSING)
    assert other.read_bytes() == file.read_bytes()


def test_an_edited_network_keeps_its_edit(tmp_path):
    edited = cnn_jax.without(cnn_jax.create_model("alexnet_small"), "conv3", "conv4")
    variables = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), trace_variables(edited)
    )
    write_network(tmp_path / "edited", edited, variables, PREPROCESSING)
    assert read_network(tmp_path / "edited")[0] == edited


class Own(TableNetwork):
    """A network of a user's script."""


def test_code_of_the_user_cannot_be_written(tmp_path, variables):
    with pytest.raises(UserError, match=r"built from .*:Own; a file can name what is in"):
        write_network(tmp_path / "own", Own(), variables, PREPROCESSING)
    assert not (tmp_path / "own").exists()


def test_variables_of_another_network_cannot_be_written(tmp_path, variables):
    del variables["batch_stats"]
    with pytest.raises(UserError, match="missing: batch_stats/conv1_norm/mean"):
        write_network(tmp_path / "other", MODEL, variables, PREPROCESSING)
    assert not (tmp_path / "other").exists()


def renamed(old, new):
    def change(arrays, metadata):
        metadata["model"] = metadata["model"].replace(old, new)

    return change


def with_metadata(**metadata):
    return lambda arrays, old: old.update(metadata)


def without_array(name):
    return lambda arrays, metadata: arrays.pop(name)


REFUSALS = {
    "built from os:system; a file can name": renamed(
        "cnn_jax.layers.initializers:he", "os:system"
    ),
    "built from cnn_jax.__main__:x; a file": renamed(
        "cnn_jax.layers.initializers:he", "cnn_jax.__main__:x"
    ),
    "does not exist in this version of cnn_jax": renamed(
        "initializers:he", "initializers:it"
    ),
    "its network can't be built: it is no module": with_metadata(
        model=json.dumps({"name": "cnn_jax.layers.initializers:he"})
    ),
    "its network can't be built: Expecting": with_metadata(model="{"),
    "its network can't be built: 'fields'": with_metadata(
        model=json.dumps({"class": "cnn_jax.models.vgg_bn:VGGBatchNorm"})
    ),
    "its network can't be built: .*used twice: conv1": renamed('"fc"', '"conv1"'),
    "has version 2 of the format; this cnn_jax reads version 1": with_metadata(version="2"),
    "is no network that cnn_jax exported": with_metadata(format="pt"),
    "network.safetensors: missing: params/fc/bias": without_array("params/fc/bias"),
    "missing: preprocessing/mean": without_array("preprocessing/mean"),
    r"params/fc/bias is float64 \[3\]; float32 \[3\]": lambda arrays, metadata: (
        arrays.update({"params/fc/bias": np.zeros(3)})
    ),
    r"preprocessing/mean is float32 \[2\]; float32 \[height": (
        lambda arrays, metadata: arrays.update(
            {"preprocessing/mean": np.zeros(2, np.float32)}
        )
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_another_or_a_damaged_file_is_refused_in_one_line(file, message):
    rewritten(file, REFUSALS[message])
    with pytest.raises(UserError, match=message) as refusal:
        read_network(file)
    assert "\n" not in str(refusal.value)
