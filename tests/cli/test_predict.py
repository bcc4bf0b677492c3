"""``cnn-jax predict``: numbers against NumPy, names from the run, mistakes in one line."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

import cnn_jax
from cnn_jax.cli import sources
from cnn_jax.cli.images import choose_protocol
from cnn_jax.cli.predict import Predict
from cnn_jax.data.decoding import ImageFile, decode_images
from cnn_jax.errors import UserError
from cnn_jax.evaluation.crops import OneCrop
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.protocol import PROTOCOLS
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import run
from cnn_jax.layers.rows import Classifier
from tests.tiny import MODEL, QUIET, variant


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with a run and images."""
    directory = tmp_path_factory.mktemp("home")
    linear = variant(  # compiles in a moment
        model=MODEL.clone(table=(Classifier("out"),)),
        augmentation=(),
        epochs=0.5,
        train_examples=200,
    )
    run(linear, directory / "run", workbench=Workbench(QUIET))
    draw = np.random.default_rng(0)
    images = {
        "grey.png": draw.integers(0, 256, (8, 8), np.uint8),
        "colour.png": draw.integers(0, 256, (20, 31, 3), np.uint8),
        "dot.png": np.full((1, 1), 9, np.uint8),
    }
    for name, pixels in images.items():
        Image.fromarray(pixels).save(directory / name)
    (directory / "broken.jpg").write_bytes((directory / "grey.png").read_bytes()[:60])
    with zipfile.ZipFile(directory / "weights.pth", "w") as file:  # as torch writes them
        file.writestr("archive/data.pkl", b"")
    return directory


@pytest.fixture
def call(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def predict(*arguments):
        """Return exit code, what it wrote, and what it noted."""
        command = tyro.cli(Predict, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
        code = command()
        return code, *capsys.readouterr()

    return predict


def by_hand(home, name):
    """Return the probabilities of an image, resized as a run resizes its own."""
    trained = cnn_jax.load_run(home / "run")
    pixels = decode_images([ImageFile(name, (home / name).read_bytes())], (8, 8, 1))
    x = (pixels / 255.0 - trained.preprocessing.mean) / trained.preprocessing.deviation
    out = trained.variables["params"]["out"]
    scores = x.reshape(1, 64) @ np.asarray(out["kernel"]) + np.asarray(out["bias"])
    e = np.exp(scores[0] - scores.max())
    return e / e.sum()


def test_numbers_and_names_of_a_run(home, call):
    files = ("grey.png", "colour.png", "dot.png")
    code, out, err = call("run", *files, "--json", "--top", "10")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["network"], told["protocol"]) == ("run", "one-crop")
    names = json.loads((home / "run/manifest.json").read_text())["dataset"]["classes"]
    for answer, name in zip(told["images"], files, strict=True):
        assert answer["image"] == name
        expected = by_hand(home, name)
        found = answer["predictions"]
        order = [guess["class"] for guess in found]
        np.testing.assert_array_equal(order, np.argsort(-expected, kind="stable"))
        np.testing.assert_allclose(
            [guess["probability"] for guess in found], expected[order], atol=1e-5
        )
        assert [guess["name"] for guess in found] == [names[i] for i in order]


def test_a_table_shows_five_classes_of_each_image(call):
    code, out, _ = call("run", "grey.png", "dot.png")
    assert code == 0
    header, _, *rows = [line for line in out.splitlines() if line.strip()]
    assert header.split() == ["image", "class", "probability"]
    assert [row.split()[0] for row in rows[::5]] == ["grey.png", "dot.png"]
    assert len(rows) == 10
    (_, out, _) = call("run", "grey.png", "--top", "2")
    assert len([line for line in out.splitlines() if line.strip()]) == 4


@pytest.mark.parametrize("broken", ["broken.jpg", "nowhere.png", "run"])
def test_a_broken_image_is_named_and_the_others_are_answered(broken, home, call):
    code, out, err = call("run", "grey.png", broken, "dot.png", "--json")
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith(f"cnn-jax: {broken} can't be")
    answers = json.loads(out)["images"]
    assert [answer["image"] for answer in answers] == ["grey.png", broken, "dot.png"]
    assert [sorted(answer) for answer in answers] == [
        ["image", "predictions"],
        ["error", "image"],
        ["image", "predictions"],
    ]
    code, out, _ = call("run", broken)
    assert (code, out) == (2, "")


@pytest.mark.parametrize("name", ["ten-crop", "dense"])
def test_a_papers_protocol(name, call):
    code, out, _ = call("run", "colour.png", "--protocol", name, "--top", "10", "--json")
    assert code == 0
    (answer,) = json.loads(out)["images"]
    total = sum(guess["probability"] for guess in answer["predictions"])
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "one image file or more"),
        (("run", "grey.png", "--top", "11"), "1 to 10 classes"),
        (("run", "grey.png", "--top", "0"), "1 to 10 classes"),
        (("run", "grey.png", "--protocol", "tencrop"), "did you mean ten-crop"),
        (("nowhere", "grey.png"), "nowhere does not exist"),
        (("weights.pth", "grey.png"), "--model SOURCE/ARCHITECTURE"),
        (("run", "grey.png", "--model", "torchvision/vgg16"), "run is a run"),
        ((".", "grey.png"), "not a run directory"),
    ],
)
def test_mistakes(arguments, said, call):
    with pytest.raises(UserError, match=said):
        call(*arguments)


@pytest.fixture
def weights(home, monkeypatch):
    """Let a file of weights be the run's network."""
    network = Network(*cnn_jax.load_run(home / "run")[:3])
    kinds = {".pth": "torchvision/vgg16", ".safetensors": "cnn_jax"}

    def load(path, model):
        return sources.Source(str(path), network, None, home, kinds[path.suffix])

    monkeypatch.setattr(sources, "load_source", load)
    return load(Path("w.pth"), None)


def test_weights_have_numbers_for_classes_and_no_made_up_names(weights, call):
    code, out, _ = call("w.pth", "grey.png", "--top", "1")
    assert code == 0
    assert "class number" in out
    _, out, _ = call("w.pth", "grey.png", "--json")
    (answer,) = json.loads(out)["images"]
    assert {guess["name"] for guess in answer["predictions"]} == {None}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("one-crop", OneCrop(side=342)), ("ten-crop", PROTOCOLS["ten-crop"])],
)
def test_one_crop_of_weights_is_that_of_their_source(name, expected, weights):
    chosen = choose_protocol(name, weights, "torchvision/inception_v3")
    assert chosen == (expected, None)


def test_an_exported_network_predicts_as_its_run_does(weights, home, call):
    code, out, _ = call("w.safetensors", "colour.png", "--json", "--top", "10")
    assert code == 0
    _, of_torchvision, _ = call("w.pth", "colour.png", "--json", "--top", "10")
    (answer,) = json.loads(out)["images"]
    expected = by_hand(home, "colour.png")
    for guess in answer["predictions"]:
        assert guess["probability"] == pytest.approx(expected[guess["class"]], abs=1e-5)
    (torchvision,) = json.loads(of_torchvision)["images"]
    assert answer != torchvision  # another resizing


def test_scores_that_are_no_numbers_are_no_prediction(weights, call, monkeypatch):
    params = weights.network.variables["params"]
    out = {"kernel": np.full((64, 10), np.nan, np.float32), "bias": params["out"]["bias"]}
    broken = weights.network._replace(variables={"params": {"out": out}})
    monkeypatch.setattr(
        sources, "load_source", lambda path, model: weights._replace(network=broken)
    )
    code, out, err = call("w.pth", "grey.png")
    assert (code, out) == (2, "")
    assert "not finite" in err
