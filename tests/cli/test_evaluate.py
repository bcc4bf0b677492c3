"""``cnn-jax evaluate`` on two trained runs: files, table, JSON, ensemble, refusals."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnn_jax.cli.compare import Compare
from cnn_jax.cli.evaluate import Evaluate
from cnn_jax.errors import UserError
from cnn_jax.evaluation import report
from cnn_jax.evaluation.predictions import load_predictions
from cnn_jax.experiment.load import load_run
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import run
from cnn_jax.layers.rows import Classifier
from cnn_jax.weights.network_file import write_network
from tests.tiny import MODEL, QUIET, variant

SUBSET = 200
PLACE = "evaluation/synthetic-test-one-crop"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with two runs, of seeds 0 and 1."""
    directory, bench = tmp_path_factory.mktemp("home"), Workbench(QUIET)
    linear = variant(  # compiles in a moment, and leaves some images wrong
        model=MODEL.clone(table=(Classifier("out"),)),
        augmentation=(),
        epochs=0.5,
        train_examples=SUBSET,
    )
    for seed in (0, 1):
        experiment = dataclasses.replace(linear, seed=seed)
        run(experiment, directory / "runs" / f"seed{seed}", workbench=bench)
    loaded = load_run(directory / "runs/seed0")
    write_network(directory / "net.safetensors", *loaded[:3])
    save_file(
        {"fc.weight": np.zeros((10, 64), np.float32)}, directory / "theirs.safetensors"
    )
    return directory


@pytest.fixture
def evaluate(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    for figure in ("confusion_figure", "reliability_figure", "mistakes_figure"):
        # tests/evaluation/test_report.py draws them; here it would only take time.
        monkeypatch.setattr(report, figure, lambda _: b"figure")

    def call(*sources, **flags):
        flags = {"progress": "none", "json": True} | flags
        assert Evaluate(sources, **flags)() == 0
        out = capsys.readouterr().out
        return json.loads(out) if flags["json"] else out

    return call


def test_a_run_is_evaluated_as_it_evaluated_itself(home, evaluate):
    told = evaluate("runs/seed0")
    result = json.loads((home / "runs/seed0/result.json").read_text())
    assert told["top1_error"]["wrong"] == result["test_wrong"]
    assert told["model"] == "runs/seed0"
    written = (home / "runs/seed0" / PLACE / "evaluation.json").read_text()
    assert json.loads(written) == told
    train = evaluate("runs/seed0", split="train")
    assert train["examples"] == SUBSET  # what the run was trained on
    assert train["top1_error"]["error"] == result["train_error"]


def test_an_exported_run_is_evaluated_like_the_run(home, evaluate):
    told = evaluate("net.safetensors", dataset="synthetic")
    result = json.loads((home / "runs/seed0/result.json").read_text())
    assert told["top1_error"]["wrong"] == result["test_wrong"]
    assert told["directory"] == f"runs/net/{PLACE}"


def test_an_ensemble_is_the_mean_of_its_members_and_has_a_place_of_its_own(
    home, evaluate, capsys
):
    out = evaluate("runs/seed0", "runs/seed1", ensemble=True, json=False)
    (place,) = (home / "runs/ensembles").iterdir()
    assert f"written: {place.relative_to(home)}" in out
    assert f"written: runs/seed1/{PLACE}" in out
    told = json.loads((place / "evaluation.json").read_text())
    low, high = told["top1_error"]["interval"]
    line = next(line for line in out.splitlines() if "ensemble of 2" in line)
    assert f"{told['top1_error']['error']:.2%} [{low:.2%}, {high:.2%}]" in line

    assert told["members"] == ["runs/seed0", "runs/seed1"]
    members = [
        load_predictions(home / f"runs/seed{seed}" / PLACE / "predictions.npz")
        for seed in (0, 1)
    ]
    mean = np.mean([member.probabilities for member in members], axis=0)
    wrong = int((mean.argmax(-1) != members[0].labels).sum())
    assert told["top1_error"]["wrong"] == wrong

    assert Compare("runs/seed0", told["directory"], json=True)() == 0
    compared = json.loads(capsys.readouterr().out)["top1_error"]
    assert compared["second"] == told["top1_error"]["error"]


def test_several_runs_go_below_one_directory(home, evaluate):
    told = evaluate("runs/seed0", "runs/seed0", out=home / "all")
    places = [one["directory"].rsplit("/", 1)[1] for one in told["evaluations"]]
    assert places == ["seed0", "seed0-2"]
    assert (home / "all" / "seed0-2" / "worst.png").read_bytes() == b"figure"
    with pytest.raises(
        UserError, match=r"holds another evaluation \(model: runs/seed0 there"
    ):
        evaluate("runs/seed1", out=home / "all" / "seed0")
    with pytest.raises(UserError, match="holds a run"):
        evaluate("runs/seed1", out=home / "runs" / "seed1")


@pytest.mark.parametrize(
    ("sources", "flags", "said"),
    [
        ((), {}, "needs the directory of a run"),
        (("runs/seed0",), {"ensemble": True}, "two networks"),
        (("runs/seed2",), {}, "runs/seed2 does not exist"),
        (("runs",), {}, "not a run directory"),
        (("runs/seed0",), {"model": "torchvision/vgg16"}, "is a run"),
        (("theirs.safetensors",), {}, "say what it holds with --model"),
        (("net.safetensors",), {}, "say what to evaluate on with --dataset"),
        (("runs/seed0",), {"protocol": "ten-corp"}, "did you mean ten-crop"),
        (("runs/seed0",), {"dataset": "mnist"}, "--data-dir"),
        (("runs/seed0",), {"batch_size": 0}, "batch size is 0"),
    ],
)
def test_a_mistake_is_one_line(evaluate, sources, flags, said):
    with pytest.raises(UserError, match=said) as caught:
        evaluate(*sources, **flags)
    assert "\n" not in str(caught.value)
