"""The files of an evaluation: consistent with one another, drawn without a warning."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from cnn_jax.errors import UserError
from cnn_jax.evaluation.evaluate import assess
from cnn_jax.evaluation.figures import (
    confusion_figure,
    mistakes_figure,
    reliability_figure,
)
from cnn_jax.evaluation.measures import confusion, top_k_error
from cnn_jax.evaluation.predictions import load_predictions, save_predictions
from cnn_jax.evaluation.report import (
    check_place,
    evaluation_json,
    find_predictions,
    matching_predictions,
    write_evaluation,
)
from tests.evaluation.made_predictions import SETTING, random_predictions


def image_of(i):
    return np.full((8, 8, 3), i % 256, np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("there") / "deep" / "out"
    evaluation = assess(random_predictions(0, edge=1.0), image_of)
    return directory, evaluation, write_evaluation(directory, evaluation, {"more": 1})


def test_the_directory_holds_what_was_promised(written):
    directory, evaluation, told = written
    assert {path.name for path in directory.iterdir()} == {
        "evaluation.json",
        "predictions.npz",
        "confusion.csv",
        "confusion.png",
        "reliability.png",
        "worst.png",
        "per_class.csv",
    }
    assert json.loads((directory / "evaluation.json").read_text()) == told
    assert told["more"] == 1
    found = load_predictions(directory / "predictions.npz")
    assert top_k_error(found, 1) == evaluation.top1


def test_the_json_says_the_same_numbers_everywhere(written):
    _, evaluation, told = written
    top1 = told["top1_error"]
    assert top1["error"] == top1["wrong"] / told["examples"]
    assert top1["interval"] == list(evaluation.top1.interval)
    assert sum(one["rate"]["wrong"] for one in told["per_class"]) == top1["wrong"]
    assert told["worst_mistakes"][0]["probability"] == max(
        one["probability"] for one in told["worst_mistakes"]
    )
    assert len(told["calibration"]["bins"]) == 15
    assert told["reasons"] == {}


def test_the_tables_hold_the_counts(written):
    directory, evaluation, _ = written
    header, *rows = csv.reader(
        (directory / "confusion.csv").read_text(encoding="utf-8").splitlines()
    )
    assert header[1:] == [*"abcdefg", "no guess"]
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows])
    np.testing.assert_array_equal(counts, confusion(evaluation.predictions))
    text = (directory / "per_class.csv").read_text(encoding="utf-8")
    for row, line in zip(csv.DictReader(text.splitlines()), counts, strict=True):
        own = "abcdefg".index(row["class"])
        assert int(row["images"]) == line.sum()
        assert int(row["wrong"]) == line.sum() - line[own]
        assert float(row["low"]) < float(row["error"]) < float(row["high"])
        assert line["abcdefg".index(row["taken_for"])] == int(row["times"])


def test_what_cannot_be_given_is_null_with_a_reason():
    made = random_predictions(0, classes=3)
    made.log_probabilities[0, 0] = np.nan
    told = evaluation_json(assess(made, image_of))
    assert told["not_finite"] == 1
    for key in ("top5_error", "negative_log_likelihood", "calibration"):
        assert told[key] is None
    assert told["reasons"]["top5_error"].startswith("3 classes")
    assert told["reasons"]["calibration"] == "1 example has a score that is not finite"
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(("classes", "examples"), [(2, 1), (320, 400)])
def test_figures_of_few_and_of_many_classes_are_readable_files(classes, examples):
    made = random_predictions(0, classes=classes, examples=examples, edge=3.0)
    made.log_probabilities[-1] = made.log_probabilities[0] = -np.log(classes)
    evaluation = assess(made, image_of)
    for figure in (confusion_figure, reliability_figure, mistakes_figure):
        drawn = Image.open(io.BytesIO(figure(evaluation)))
        assert drawn.format == "PNG"
        assert min(drawn.size) >= 300
        assert max(drawn.size) <= 2600


def test_figures_say_why_they_are_empty():
    made = random_predictions(0, edge=50.0, examples=20)
    perfect = assess(made, image_of)
    assert Image.open(io.BytesIO(mistakes_figure(perfect))).height < 500
    made.log_probabilities[:] = np.nan
    broken = assess(made, image_of)
    assert broken.top1.error == 1.0
    for figure in (confusion_figure, reliability_figure, mistakes_figure):
        assert Image.open(io.BytesIO(figure(broken))).format == "PNG"


def test_the_same_evaluation_is_drawn_as_the_same_bytes(written):
    directory, evaluation, _ = written
    assert reliability_figure(evaluation) == (directory / "reliability.png").read_bytes()


def test_a_place_that_holds_something_else_is_refused(written, tmp_path):
    directory, _, told = written
    check_place(directory, {"model": told["model"], "split": "test"})
    check_place(tmp_path / "new", {"model": "any"})
    with pytest.raises(
        UserError, match=r"another evaluation \(split: test there, train here"
    ):
        check_place(directory, {"model": told["model"], "split": "train"})
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="holds a run"):
        check_place(tmp_path, {})


def test_predictions_are_found_in_a_run_an_evaluation_or_a_file(written, tmp_path):
    directory, evaluation, _ = written
    file = directory / "predictions.npz"
    assert find_predictions(file) == find_predictions(directory) == [file]
    made = evaluation.predictions._replace(examples=tuple("e" * 200))
    for run, protocols in {"a": ("x", "y"), "b": ("y", "z"), "c": ("x", "y")}.items():
        for protocol in protocols:
            place = tmp_path / run / "evaluation" / f"synthetic-test-{protocol}"
            place.mkdir(parents=True)
            setting = dataclasses.replace(SETTING, model=run, protocol=protocol)
            save_predictions(place / "predictions.npz", made._replace(setting=setting))
    a, b, c = (tmp_path / run for run in "abc")
    for places in ((a, b), (a, b / "evaluation/synthetic-test-y")):
        first, second = matching_predictions(*places)
        assert (first.setting.model, first.setting.protocol) == ("a", "y")
        assert (second.setting.model, second.setting.protocol) == ("b", "y")
    with pytest.raises(
        UserError, match=r"several .* common: .*a has synthetic-test-x, syn"
    ):
        matching_predictions(a, c)
    with pytest.raises(UserError, match=r"no evaluation in common"):
        matching_predictions(a, b / "evaluation/synthetic-test-z")
    (tmp_path / "d").mkdir()
    with pytest.raises(UserError, match="no predictions yet; make them with: cnn-jax ev"):
        find_predictions(tmp_path / "d")
    with pytest.raises(UserError, match="nowhere does not exist"):
        find_predictions("nowhere")
