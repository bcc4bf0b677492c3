"""The command line: one clear line and exit code 2 for a mistake, help with examples."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_jax.cli import main
from cnn_jax.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


def mistake(capsys, *arguments):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_shows_an_example(command, capsys):
    assert main([command, "--help"] if command else ["--help"]) == 0
    assert "Example: cnn-jax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("studdy", "x"), "unknown command 'studdy'; did you mean study?"),
        (("study",), "NAME"),
        (("study", "alexnet_layer_remova"), "did you mean alexnet_layer_removal?"),
        (("study", "no/such/file.py"), "is not a file"),
        (("study", "alexnet_layer_removal", "--arms", "fulll"), "did you mean full?"),
        (("study", "alexnet_layer_removal", "--seeds", "0"), "at least 1"),
        (
            ("study", "alexnet_layer_removal", "--seeds", "two"),
            "--seeds two: not a whole number",
        ),
        (("study", "alexnet_layer_removal", "--dataset", "cifar"), "did you mean cifar10?"),
        (("study", "alexnet_layer_removal", "--dataset", "mnist"), "--data-dir"),
        (
            ("study", "alexnet_layer_removal", "--dataset", "mnist", "--data-dir", "none"),
            "does not exist",
        ),
        (("train", "lenet5_mnis"), "did you mean lenet5_mnist"),
        (("train", "lenet5_mnist", "--dataset", "mnits"), "did you mean mnist"),
        (("train", "lenet5_mnist", "--dataset", "digits", "--epochs", "0"), "more than 0"),
        (("train", "lenet5_mnist", "--dataset", "digits", "--batch-size", "9999"), "9999"),
        (("train", "lenet5_mnist", "--dataset", "digits", "--out", "/proc/x"), "/proc/x"),
        (("experiments", "--experiments", "nowhere"), "nowhere is not a directory"),
        (("models", "--no-such-flag"), "--no-such-flag"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, said, capsys, tmp_path):
    line = mistake(capsys, *arguments)
    assert line.startswith("cnn-jax: ")
    assert said in line
    assert list(tmp_path.glob("runs/**/result.json")) == []


def test_listings_are_json_for_programs(capsys):
    assert main(["models", "--json"]) == 0
    models = {m["name"]: m for m in json.loads(capsys.readouterr().out)}
    assert models["alexnet"]["parameters"] == 60_965_224
    assert main(["experiments", "--json"]) == 0
    declared = {e["name"]: e for e in json.loads(capsys.readouterr().out)}
    assert declared["alexnet_layer_removal"]["kind"] == "study"
    assert declared["lenet5_mnist"]["settings"] == ["mnist"]


def test_help_and_models_start_no_device():
    program = (
        "import sys; from cnn_jax.cli import main\n"
        "main(['--help']); main(['models'])\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_run_from_the_command_line_is_there_to_be_loaded(capsys, tmp_path):
    arguments = (
        "train",
        "lenet5_mnist",
        "--dataset",
        "digits",
        "--epochs",
        "0.5",
        "--json",
    )
    assert main([*arguments, "--progress", "none", "--seed", "7"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps"] == 4  # half of 1,000 images by 128, rounded up
    directory = Path(result["directory"])
    assert directory.parts[:2] == ("runs", "lenet5_mnist")
    assert directory.name.startswith("digits-seed7-")
    manifest = json.loads((tmp_path / directory / "manifest.json").read_text())
    assert manifest["experiment"]["fields"]["seed"] == 7
    assert main([*arguments, "--progress", "none", "--seed", "7"]) == 0
    assert json.loads(capsys.readouterr().out) == result
