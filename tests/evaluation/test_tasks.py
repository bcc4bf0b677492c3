"""What classifies is refused for networks of other tasks, by name and before any work."""

import numpy as np
import pytest

import cnn_jax
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.evaluation.evaluate import assess, evaluate
from cnn_jax.evaluation.measures import confusion, likelihood, per_class, top_k_error
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.predictions import Predictions, Setting
from cnn_jax.evaluation.protocol import PROTOCOLS, check_task
from cnn_jax.evaluation.scan import scan
from cnn_jax.evaluation.scoring import compile_scoring

PLAIN = Preprocessing(np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32))
CHARACTERS = Network(cnn_jax.create_model("text_char"), {}, PLAIN)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_says_what_it_serves(name):
    with pytest.raises(
        UserError, match=f"^{name} serves classify; TextCharacters is sequence$"
    ):
        check_task(PROTOCOLS[name], CHARACTERS.model)
    check_task(PROTOCOLS[name], cnn_jax.create_model("mcdnn_mnist"))


def test_evaluation_prediction_and_scanning_refuse_at_once():
    with pytest.raises(UserError, match=r"^ten-crop serves classify; TextCharacters"):
        evaluate(*CHARACTERS, "digits", "ten-crop")
    with pytest.raises(UserError, match=r"^one-crop serves classify; TextCharacters"):
        compile_scoring(CHARACTERS, PROTOCOLS["one-crop"])
    with pytest.raises(UserError, match=r"^scan serves classify; TextCharacters"):
        scan(CHARACTERS, np.zeros((40, 120, 1), np.uint8))


def test_a_protocol_can_serve_another_task():
    class Words:
        task = "sequence"

    check_task(Words(), CHARACTERS.model)
    with pytest.raises(
        UserError, match=r"^Words serves sequence; McdnnColumn is classify$"
    ):
        check_task(Words(), cnn_jax.create_model("mcdnn_mnist"))


def test_measures_refuse_what_is_not_one_class_an_example():
    setting = Setting(
        model="net",
        dataset="words",
        dataset_label="words",
        fingerprint="0",
        split="test",
        protocol="one-crop",
    )
    words = Predictions(
        np.zeros((2, 23, 37), np.float32),
        np.zeros((2, 23), np.int32),
        ("a",),
        "01",
        setting,
    )
    measures = (
        likelihood,
        confusion,
        per_class,
        lambda p: top_k_error(p, 1),
        lambda p: assess(p, lambda i: i),
    )
    for measure in measures:
        with pytest.raises(UserError, match=r"serve classify.*\(2, 23, 37\) and \(2, 23\)"):
            measure(words)
