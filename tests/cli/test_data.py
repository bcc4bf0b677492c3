"""``cnn-jax data``: what is said, written and refused."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.cli.main import main
from cnn_jax.cli.work_display import WorkDisplay
from cnn_jax.data.prepare import Prepared
from cnn_jax.data.published_files import PUBLISHED, Published, PublishedFile
from tests.data.file_server import serve

MINE = """
from dataclasses import replace
from cnn_jax.data.augmentation import HorizontalFlip
from experiments.cifar_resnet import EXPERIMENTS as CIFAR

EXPERIMENTS = {
    "mirrored": replace(
        CIFAR["resnet20_cifar10"], augmentation=(HorizontalFlip(probability=1.0),)
    )
}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call(capsys):
    def run(*arguments):
        assert main(["data", *arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def mistake(capsys):
    def run(*arguments):
        assert main(["data", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err.splitlines()[-1]

    return run


@pytest.fixture
def folder(tmp_path):
    """An image folder of three classes: 6, 4 and 2 images, 40 x 30 pixels and larger."""
    counts = {"cat": 6, "dog": 4, "newt": 2}
    for split in ("train", "test"):
        for name, count in counts.items():
            home = tmp_path / "photos" / split / name
            home.mkdir(parents=True)
            for i in range(count):
                ramp = np.linspace(0, 255, 40 + i).astype(np.uint8)
                pixels = np.broadcast_to(ramp[None, :, None], (30 + i, 40 + i, 3))
                Image.fromarray(np.ascontiguousarray(pixels)).save(home / f"{i}.png")
    return tmp_path / "photos"


@pytest.mark.slow
def test_show_counts_without_decoding_everything(call, folder, monkeypatch):
    (Path("mine")).mkdir()
    Path("mine/mine.py").write_text(MINE)
    flags = ("--augment", "mirrored", "--experiments", "mine", "--json")
    told = json.loads(call("show", "image-folder", "--data-dir", str(folder), *flags))
    assert told["classes"] == ["cat", "dog", "newt"]
    train, validation, test = told["splits"].values()
    assert test["per_class"] == [6, 4, 2]
    together = np.add(train["per_class"], validation["per_class"])
    assert together.tolist() == [6, 4, 2]
    assert train["examples"] == sum(train["per_class"])
    assert (test["smallest"], test["largest"]) == ([30, 40], [35, 45])
    assert len(told["fingerprint"]) == 64
    assert told["fingerprint_rule"] == "names and content of all files"
    assert told["augmentation"] == ["HorizontalFlip(probability=1.0)"]
    sheet = np.asarray(Image.open(told["sheet"]))
    # 32 x 32, three times as large; the ramp goes up in the first row, down below.
    _, columns = np.nonzero((sheet != 255).any(-1))
    right = columns.max()
    middle = [34 + 6 + row * 102 + 48 + 6 for row in range(4)]
    ramps = [sheet[at, right - 90 : right - 3 : 3, 0].astype(int) for at in middle]
    assert (np.diff(ramps[0]) >= 0).all()
    for ramp in ramps[1:]:
        assert (np.diff(ramp) <= 0).all()


def test_show_tells_people_the_same(call):
    said = call("show", "synthetic", "--progress", "none")
    assert "synthetic: 10 classes, 1 channels" in said
    assert "32 x 32" in said
    assert "made of: " in said
    assert Path("synthetic-sheet.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "mnits"), "did you mean mnist"),
        (("show", "mnist"), "mnist needs --data-dir"),
        (("show", "digits", "--out", "x.jpg"), "a name in .png"),
        (("show", "digits", "--out", "no/x.png"), "there is no directory no"),
        (("show", "digits", "--augment", "lenet5_mnis"), "did you mean lenet5_mnist"),
        (("download", "imagenet2012"), "registered users only"),
        (("download", "mnist", "--mirror", "here"), "here: not an address"),
        (("prepare", "mnits", "--from", "."), "did you mean mnist"),
        (("prepare", "mnist"), "--from"),
        ((), "prepare, download, show"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, said, mistake, tmp_path):
    assert said in mistake(*arguments)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_download_fetches_and_says_how_to_go_on(call, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    file = PublishedFile("a.gz", 5, hashlib.sha256(b"bytes").hexdigest())
    monkeypatch.setitem(PUBLISHED, "mnist", Published("http://nowhere.invalid/", (file,)))
    with serve() as server:
        server.files["/m/a.gz"] = b"bytes"
        mirror = ("--mirror", f"{server.address}/m")
        told = json.loads(call("download", "mnist", *mirror, "--json"))
        assert told["fetched_bytes"] == 5
        assert Path("data/mnist/a.gz").read_bytes() == b"bytes"
        said = call("download", "mnist", *mirror)
    assert "already there" in said
    assert "--dataset mnist --data-dir data/mnist" in said


def test_prepare_says_how_to_go_on(call, monkeypatch):
    asked = []

    def made(*arguments, **options):
        asked.append((arguments, options.pop("called"), options.pop("resume")))
        options.pop("progress")(1, 2, "writing")
        counts = {"train": 60_000, "test": 10_000}
        return Prepared("tfds:mnist", Path("tf/mnist/3.0.1"), Path("tf"), counts)

    monkeypatch.setattr("cnn_jax.data.prepare.prepare", made)
    told = json.loads(call("prepare", "mnist", "--from", "in", "--out", "tf", "--json"))
    assert told["examples"] == {"train": 60_000, "test": 10_000}
    said = call("prepare", "mnist", "--from", "in", "--anew", "--progress", "plain")
    assert "tfds:mnist: 60,000 train, 10,000 test" in said
    assert "use: --dataset tfds:mnist --data-dir tf" in said
    assert asked == [
        (("mnist", Path("in"), Path("tf")), None, True),
        (("mnist", Path("in"), None), None, False),
    ]


@pytest.mark.slow
def test_prepare_writes_a_dataset_that_show_reads(call, folder):
    said = call("prepare", "image-folder", "--from", str(folder), "--out", "tf")
    assert "use: --dataset tfds:photos --data-dir tf" in said
    flags = ("--data-dir", "tf", "--json", "--out", "sheet.png")
    told = json.loads(call("show", "tfds:photos", *flags))
    assert told["splits"]["test"]["per_class"] == [6, 4, 2]
    assert told["fingerprint_rule"].endswith("before preparation")


def test_plain_progress_is_a_line_at_each_change(capsys):
    with WorkDisplay("plain", of="bytes") as display:
        display(0, None, "opening")
        for done in (1, 500, 1000):
            display(done, 1000, "fetching a.gz")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["opening", "fetching a.gz: 1 of 1,000 bytes"]


def test_live_progress_is_a_bar_that_goes_away(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    for counted in ("bytes", "examples"):
        with WorkDisplay("live", of=counted) as display:
            display(0, None, "[opening]")
            display(500, 1000, "fetching a.gz")
            assert display._bar.tasks[0].completed == 500
    with WorkDisplay("none") as display:
        display(1, 2, "nothing")
    assert "nothing" not in stream.getvalue()
