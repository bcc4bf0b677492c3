"""``cnn-jax compare``: the numbers of two predictions files, as a table and as JSON."""

import dataclasses
import json

import pytest

from cnn_jax.cli.compare import Compare
from cnn_jax.errors import UserError
from cnn_jax.evaluation.predictions import save_predictions
from tests.evaluation.made_predictions import SETTING, random_predictions


@pytest.fixture
def files(tmp_path):
    for name, edge in (("a", 3.0), ("b", 1.0)):
        setting = dataclasses.replace(SETTING, model=f"run {name}")
        made = random_predictions(ord(name), edge=edge, setting=setting)
        save_predictions(tmp_path / f"{name}.npz", made)
    return str(tmp_path / "a.npz"), str(tmp_path / "b.npz")


def test_the_better_network_is_named_by_a_difference_below_0(files, capsys):
    assert Compare(*files, json=True)() == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["first"]["model"], told["second"]["model"]) == ("run a", "run b")
    for key in ("top1_error", "negative_log_likelihood"):
        low, high = told[key]["interval"]
        assert low < told[key]["difference"] < high < 0
        assert told[key]["resolved"]
    top1 = told["top1_error"]
    assert top1["p_value"] < 0.001
    only = top1["only_first_wrong"] - top1["only_second_wrong"]
    assert top1["difference"] == only / told["examples"]

    assert Compare(*files)() == 0
    table = capsys.readouterr().out
    assert "A: run a (one-crop)" in table
    assert f"{top1['difference']:+.2%}" in table
    assert f"only A wrong {top1['only_first_wrong']}" in table


def test_few_classes_have_a_line_instead_of_a_top_5_row(tmp_path, capsys):
    made = random_predictions(0, classes=3)
    save_predictions(tmp_path / "a.npz", made)
    place = str(tmp_path / "a.npz")
    assert Compare(place, place)() == 0
    assert "no top-5 error: 3 classes" in capsys.readouterr().out


def test_files_of_different_splits_are_refused_in_one_line(files, tmp_path):
    made = random_predictions(0, setting=dataclasses.replace(SETTING, split="train"))
    save_predictions(tmp_path / "c.npz", made)
    with pytest.raises(UserError, match="different splits: test and train") as caught:
        Compare(files[0], str(tmp_path / "c.npz"))()
    assert "\n" not in str(caught.value)
