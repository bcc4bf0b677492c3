"""``cnn-jax scan``: the written map against ``scan`` and ``predict``; mistakes."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

from cnn_jax.cli import sources
from cnn_jax.cli.predict import Predict
from cnn_jax.cli.scan import Scan
from cnn_jax.errors import UserError
from cnn_jax.evaluation.scan import scan
from cnn_jax.layers.rows import Classifier
from cnn_jax.layers.table_network import TableNetwork
from tests.evaluation.small_networks import network

NAMES = ["zero", "one", "two", "three", "four"]
MODEL = TableNetwork(num_classes=5, input_shape=(8, 8, 1), table=(Classifier("out"),))


@pytest.fixture(scope="module")
def net():
    return network(MODEL)


@pytest.fixture
def home(tmp_path, net, monkeypatch):
    """A directory with images, and with what stands for a run."""
    page = np.random.default_rng(0).integers(0, 256, (13, 21), np.uint8)
    Image.fromarray(page).save(tmp_path / "page.png")
    # Equal channels: the same page in colour.
    Image.fromarray(np.stack([page] * 3, -1)).save(tmp_path / "colour.png")
    Image.fromarray(page[:7]).save(tmp_path / "low.png")
    (tmp_path / "manifest.json").write_text("{}")
    run = sources.Source("run", net, None, tmp_path)
    answers = {
        "run": run._replace(classes=tuple(NAMES), image_size=(8, 8)),
        "w.pth": sources.Source("torchvision/alexnet w.pth", net, None, tmp_path),
    }
    monkeypatch.setattr(sources, "load_source", lambda path, model: answers[str(path)])
    return tmp_path


@pytest.fixture
def call(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def run(*arguments, command=Scan):
        flags = (tyro.conf.FlagCreatePairsOff,)
        assert tyro.cli(command, args=arguments, config=flags)() == 0
        return capsys.readouterr().out

    return run


def test_the_map_the_figure_and_what_is_said_agree(home, net, call):
    told = json.loads(call("run", "page.png", "--json"))
    assert (told["figure"], told["map"]) == ("page-scan.png", "page-scan.npz")
    assert (told["rows"], told["columns"], told["step"]) == (6, 14, 1)
    assert told["means"] == "convolution"  # one linear layer: the lecture's perceptron
    page = np.asarray(Image.open("page.png"))
    expected = scan(net, page[..., None])
    with np.load("page-scan.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(
            arrays["log_probabilities"], expected.log_probabilities
        )
        assert list(arrays["lefts"]) == list(range(14))
        assert list(arrays["names"]) == NAMES
    winners = expected.log_probabilities.argmax(-1)
    assert sum(one["won"] for one in told["classes"]) == 6 * 14
    for one in told["classes"]:
        assert one["won"] == (winners == one["class"]).sum()
        assert one["name"] == NAMES[one["class"]]
    with Image.open(io.BytesIO(Path("page-scan.png").read_bytes())) as figure:
        assert figure.format == "PNG"
        assert min(figure.size) > 500

    # The most certain window by itself.
    best = max(told["classes"], key=lambda one: one["highest"])
    top, left = best["top"], best["left"]
    Image.fromarray(page[top : top + 8, left : left + 8]).save("window.png")
    alone = json.loads(call("run", "window.png", "--json", command=Predict))
    guess = alone["images"][0]["predictions"][0]
    assert guess["class"] == best["class"]
    assert guess["probability"] == pytest.approx(best["highest"], abs=1e-5)


def test_classes_step_and_place_can_be_chosen(call):
    flags = ("--classes", "three,one", "--step", "3", "--out", "a.png")
    out = call("run", "colour.png", *flags)
    assert "2 x 5 places (rows x columns), step 3" in out
    assert "written: a.png, a.npz" in out
    for name in ("three", "one"):
        assert any(line.split()[:1] == [name] for line in out.splitlines())
    call("run", "page.png", "--step", "3", "--out", "b.png")
    with np.load("a.npz") as colour, np.load("b.npz") as grey:
        np.testing.assert_allclose(
            colour["log_probabilities"], grey["log_probabilities"], atol=1e-5
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "low.png"), r"low.png: the image has 7 x 21 pixels.* window of 8 x 8"),
        (("run", "page.png", "--step", "0"), "step 0: at least 1"),
        (
            ("run", "page.png", "--classes", "unicorn"),
            "unknown class 'unicorn'",
        ),
        (("run", "page.png", "--out", "a.jpg"), r"a name in \.png"),
        (("run", "page.png", "--out", "no/a.png"), "no directory no"),
        (("run", "page.png", "--out", "page.png"), "that is the image itself"),
        (("run", "nowhere.png"), "nowhere.png can't be read"),
        (("run", "manifest.json"), "manifest.json can't be decoded"),
    ],
)
def test_mistakes_write_nothing(arguments, said, home, call):
    before = {path: path.stat().st_mtime_ns for path in home.iterdir()}
    with pytest.raises(UserError, match=said):
        call(*arguments)
    assert {path: path.stat().st_mtime_ns for path in home.iterdir()} == before


def test_classes_of_weights_are_numbers(call):
    told = json.loads(call("w.pth", "page.png", "--classes", "3", "--json"))
    assert {one["name"] for one in told["classes"]} >= {"class 3"}
    with pytest.raises(UserError, match="--classes ten: not a class from 0 to 4"):
        call("w.pth", "page.png", "--classes", "ten")
