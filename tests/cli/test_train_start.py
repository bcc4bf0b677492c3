"""``cnn-jax train --start-from``: what the flags make of a declared experiment."""

import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.cli import main
from cnn_jax.cli.train import Train
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.start import StartFrom
from cnn_jax.weights.network_file import write_network
from tests.layers.small_residual_networks import random_variables
from tests.tiny import EXPERIMENT, MODEL, QUIET, variant

START = {"progress": "none", "start_from": "a.safetensors"}


@pytest.fixture(autouse=True)
def _weights(tmp_path, monkeypatch):
    """Two files of other weights, in the working directory."""
    monkeypatch.chdir(tmp_path)
    one = np.ones((1, 1, 1), np.float32)
    for seed, name in enumerate(("a", "b")):
        variables = random_variables(MODEL, np.random.default_rng(seed))
        path = tmp_path / f"{name}.safetensors"
        write_network(path, MODEL, variables, Preprocessing(0 * one, one))
    path.with_name("c.safetensors").write_bytes(path.read_bytes())


def changed(declared=EXPERIMENT, **flags):
    return Train("tiny", **flags)._experiment(declared, Workbench(QUIET))


def test_the_flags_become_fields():
    experiment, suffix = changed(**START, fresh="out, fc1", freeze="conv*")
    assert experiment == variant(
        start_from=StartFrom(path="a.safetensors", fresh=("out", "fc1")),
        freeze=("conv*",),
    )
    assert len(suffix) == 9


def test_the_suffix_is_that_of_the_weights_not_of_their_place():
    names = ("a.safetensors", "b.safetensors", "c.safetensors", "./b.safetensors")
    a, b, c, again = (changed(**START | {"start_from": name})[1] for name in names)
    assert a != b == c == again
    frozen = changed(**START, freeze="conv1")[1]
    assert len({"", a, b, frozen, changed(freeze="conv1")[1]}) == 5


def test_a_declared_start_keeps_its_place_and_can_lose_layers():
    declared = variant(start_from=StartFrom(path="b.safetensors", copy=("conv*",)))
    assert changed(declared) == (declared, "")
    experiment, suffix = changed(declared, fresh="conv2")
    assert experiment.start_from == StartFrom(
        path="b.safetensors", copy=("conv*",), fresh=("conv2",)
    )
    assert suffix


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"fresh": "out"}, "--fresh .* --start-from"),
        ({"weights": "torchvision/vgg16"}, "--weights .* --start-from"),
        ({"start_from": "runs/a/digits-seed1"}, "cnn-jax train a --dataset digits"),
    ],
)
def test_half_of_it_is_refused(flags, said):
    with pytest.raises(UserError, match=said):
        changed(progress="none", **flags)


def test_from_the_command_line_a_mistake_is_one_line(capsys, tmp_path):
    arguments = ["train", "lenet5_mnist", "--dataset", "digits", "--progress", "none"]
    assert main([*arguments, "--freeze", "conf*"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'conf*' matches no parameter" in line
    assert "conv1" in line
    assert main([*arguments, "--start-from", "a.safetensors"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "conv1/bias is [4] there, [6] here" in line
    assert not list(tmp_path.glob("runs/**/result.json"))
