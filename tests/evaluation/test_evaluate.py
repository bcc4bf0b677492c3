"""``evaluate`` on a trained run: its own numbers, and the edges."""

import dataclasses
import json

import numpy as np
import pytest

from cnn_jax.data.dataset import Pictures, Split, Splits
from cnn_jax.data.synthetic import open_synthetic
from cnn_jax.errors import UserError
from cnn_jax.evaluation.crops import OneCrop
from cnn_jax.evaluation.evaluate import assess, evaluate, open_pictures, worst_mistakes
from cnn_jax.experiment.load import load_run
from cnn_jax.experiment.run import run
from cnn_jax.layers.rows import Classifier
from tests.evaluation.made_predictions import random_predictions
from tests.tiny import MODEL, QUIET, variant

# A linear classifier compiles in a moment, and one epoch leaves some images wrong. Images
# are kept larger than the network's input.
EXPERIMENT = variant(
    model=MODEL.clone(table=(Classifier("out"),)),
    augmentation=(),
    image_size=(11, 10),
    epochs=0.1,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    return run(EXPERIMENT, directory, QUIET), load_run(directory)


@pytest.fixture
def evaluated(trained):
    _, loaded = trained

    def call(dataset="synthetic", *arguments, **keywords):
        keywords = {"image_size": (11, 10), "progress": "none"} | keywords
        return evaluate(*loaded[:3], dataset, *arguments, **keywords)

    return call


@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_one_crop_is_exactly_what_the_run_says_of_itself(trained, evaluated, split):
    result, _ = trained
    found = evaluated(split=split, batch_size=50)
    assert found.top1.error == result[f"{split}_error"]
    if split == "test":
        assert found.top1.wrong == result["test_wrong"] > 0
        assert found.top1.examples == result["test_examples"] == 128
        # 1e-5: sums in float32.
        assert found.nll.value == pytest.approx(result["test_loss"], rel=1e-5)
    assert found.predictions.setting.protocol == "one-crop"
    assert sum(one.rate.examples for one in found.per_class) == found.top1.examples


@pytest.mark.parametrize(("batch_size", "devices"), [(1, 2), (7, 1), (500, 2)])
def test_batch_size_and_devices_change_nothing(evaluated, batch_size, devices):
    whole = evaluated(batch_size=64)
    found = evaluated(batch_size=batch_size, devices=devices)
    # 1e-5: another batch is another order of sums in float32.
    np.testing.assert_allclose(
        found.predictions.log_probabilities,
        whole.predictions.log_probabilities,
        atol=1e-5,
    )
    assert found.top1 == whole.top1
    assert found.predictions.examples == whole.predictions.examples


def few(count, classes=10, **fields):
    """The synthetic dataset with a test split of ``count`` images."""
    whole = open_synthetic()

    def read(shape):
        splits = whole.read(shape)
        return splits._replace(test=Split(*(part[:count] for part in splits.test)))

    return dataclasses.replace(
        whole, read=read, classes=tuple(map(str, range(classes))), **fields
    )


def test_one_image_has_errors_with_intervals_and_a_likelihood_without(evaluated):
    found = evaluated(few(1))
    assert found.top1.examples == 1
    assert 0 <= found.top1.interval.low < found.top1.interval.high <= 1
    assert found.nll.interval is None
    assert [one.rate is not None for one in found.per_class] == [True] + [False] * 9


@pytest.mark.parametrize(
    ("arguments", "keywords", "said"),
    [
        ((few(0),), {}, "no example in its test split"),
        ((few(3, classes=4),), {}, "network has 10 classes and synthetic has 4"),
        (("synthetic",), {"split": "tset"}, "unknown split 'tset'; did you mean test"),
        (("synthetic",), {"batch_size": 0}, "batch size is 0"),
        (("synthetic",), {"devices": 5}, "--devices 5"),
        (("synthetic", "ten-corp"), {}, "did you mean ten-crop"),
        (("mnits",), {}, "did you mean mnist"),
        (("synthetic",), {"data_dir": "somewhere"}, "takes no --data-dir"),
    ],
)
def test_what_does_not_fit_is_refused(evaluated, arguments, keywords, said):
    with pytest.raises(UserError, match=said):
        evaluated(*arguments, **keywords)


def test_a_label_outside_the_classes_is_refused(evaluated):
    dataset = few(3)
    bad = Split(np.zeros((2, 11, 10, 1), np.uint8), np.array([0, 10]))
    with pytest.raises(UserError, match="label 10 at index 1"):
        evaluated(dataclasses.replace(dataset, read=lambda _: Splits(bad, bad, bad)))


def test_images_of_many_sizes_keep_their_own_unless_a_size_is_asked_for(evaluated):
    asked = []

    def pictures(split, channels, size):
        asked.append((split, channels, size))
        sides = [9, 12, 8]
        return Pictures(
            lambda i: np.full((*(size or (sides[i], 10)), channels), 100 + i, np.uint8),
            np.array([0, 1, 2], np.int32),
            ("test/a.png", "test/b.png", "test/c.png"),
        )

    dataset = few(3, pictures=pictures)
    found = evaluated(dataset, OneCrop(side=9), image_size=None)
    assert found.predictions.examples == ("test/a.png", "test/b.png", "test/c.png")
    assert found.predictions.setting.protocol == "one-crop"
    assert np.isfinite(found.predictions.log_probabilities).all()
    evaluated(dataset)
    assert asked == [("test", 1, None), ("test", 1, (11, 10))]


def test_a_dataset_without_pictures_is_read_at_the_size_asked_for_or_the_networks():
    for size, expected in (((9, 7), (9, 7, 3)), (None, (8, 6, 3))):
        found = open_pictures(open_synthetic(), "validation", (8, 6, 3), size)
        assert found.decode(0).shape == expected
        assert found.names[:2] == ("validation/0", "validation/1")


def test_the_worst_mistakes_are_the_most_confident_ones():
    made = random_predictions(0, edge=1.0)
    made.log_probabilities[0] = np.nan  # no guess
    found = worst_mistakes(made, lambda i: np.full((1, 1, 1), i % 256, np.uint8), count=8)
    wrong = [
        (-row.max(), i)
        for i, row in enumerate(made.log_probabilities)
        if i and row.argmax() != made.labels[i]
    ]
    assert [one.example for one in found] == [f"test/{i}" for _, i in sorted(wrong)[:8]]
    row = made.probabilities[sorted(wrong)[0][1]]
    first = found[0]
    assert first.probability == pytest.approx(row.max(), rel=1e-6)  # float32
    assert first.guess == made.classes[row.argmax()]
    assert first.probability_of_true == pytest.approx(row[ord(first.true) - 97], rel=1e-6)
    assert first.image[0, 0, 0] == sorted(wrong)[0][1] % 256


def test_a_perfect_network_has_no_mistakes_to_show():
    made = random_predictions(0, edge=50.0)
    found = assess(made, lambda i: pytest.fail("no image is needed"))
    assert found.mistakes == ()
    assert found.top1.wrong == 0
    assert json.dumps(found.top1.error) == "0.0"
