"""``cnn-jax invariance``: what it writes against ``invariance``; mistakes."""

import io
import json
from pathlib import Path

import pytest
import tyro
from PIL import Image

from cnn_jax.analysis.invariance import Shift, invariance
from cnn_jax.cli import sources
from cnn_jax.cli.invariance import Invariance
from cnn_jax.data.digits import open_digits
from cnn_jax.errors import UserError
from cnn_jax.layers.rows import Classifier, Conv
from cnn_jax.layers.table_network import TableNetwork
from tests.evaluation.small_networks import network

LINEAR = TableNetwork(input_shape=(8, 8, 1), table=(Classifier("out"),))
CONVOLUTION = TableNetwork(
    input_shape=(8, 8, 1), table=(Conv("conv1", 2, 3), Classifier("out"))
)


@pytest.fixture(scope="module")
def networks():
    return {"linear": network(LINEAR), "conv": network(CONVOLUTION)}


@pytest.fixture
def call(networks, tmp_path, monkeypatch, capsys):
    def load(path, model):
        net = networks[str(path)]
        return sources.Source(str(path), net, None, tmp_path, image_size=(8, 8))

    monkeypatch.setattr(sources, "load_source", load)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        flags = (tyro.conf.FlagCreatePairsOff,)
        assert tyro.cli(Invariance, args=arguments, config=flags)() == 0
        return capsys.readouterr().out

    return run


DIGITS = ("--dataset", "digits", "--examples", "40")


def test_the_json_is_the_measurement_and_the_figure_is_one(networks, call):
    told = json.loads(call("linear", "conv", "--shift", "2", *DIGITS, "--json"))
    test = open_digits().read((8, 8, 1)).test
    for one, (label, net) in zip(told["networks"], networks.items(), strict=True):
        expected = invariance(net, test.images[:40], test.labels[:40], Shift(), (0, 1, 2))
        assert one["model"] == label
        assert one["amounts"] == [0, 1, 2]
        assert one["errors"] == list(expected.errors)
        assert one["examples"] == 40
    assert told["figure"] == "invariance-shift.png"
    with Image.open(io.BytesIO(Path("invariance-shift.png").read_bytes())) as figure:
        assert figure.format == "PNG"
        assert min(figure.size) > 500


def test_the_table_has_a_row_a_network_and_layers_on_request(call):
    flags = ("--rotate", "90", "--steps", "2", "--layers", "out", "--out", "a.png")
    out = call("conv", *flags, *DIGITS)
    assert "test error in %, 40 images, against rotation (degrees)" in out
    rows = [line.split() for line in out.splitlines() if line.strip().startswith("conv")]
    assert [len(row) for row in rows] == [4, 5]  # the errors; "conv, out", its changes
    assert rows[1][2] == "0.00"
    assert "written: a.png" in out
    assert Path("a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shift", "2"), "needs the directory of a run"),
        (("linear",), "give one of --shift PIXELS, --rotate DEGREES, --scale FACTOR"),
        (("linear", "--shift", "2", "--scale", "2"), "give one of"),
        (("linear", "--shift", "-1"), "0 or more pixels"),
        (("linear", "--scale", "0"), "a factor above 0"),
        (("linear", "--scale", "2", "--steps", "0"), "--steps 0: at least 1"),
        (("linear", "--shift", "2", "--examples", "0"), "--examples 0: at least 1"),
        (("linear", "--shift", "2", "--out", "a.jpg"), r"a name in \.png"),
        (("linear", "--shift", "2", "--out", "no/a.png"), "no directory no"),
        (("linear", "linear", "--shift", "2"), "given twice: linear"),
        (("linear", "--shift", "2"), "say what to measure on with --dataset"),
        (("linear", "--shift", "2", "--dataset", "digitz"), "did you mean digits"),
        (("linear", "--shift", "2", "--layers", "fc9", *DIGITS), "unknown layer .*fc9"),
    ],
)
def test_mistakes_write_nothing(arguments, said, call, tmp_path):
    with pytest.raises(UserError, match=said):
        call(*arguments)
    assert list(tmp_path.iterdir()) == []
