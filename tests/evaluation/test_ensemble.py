"""An ensemble is the mean of the members' probabilities."""

import dataclasses

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.evaluation.ensemble import ensemble
from cnn_jax.evaluation.measures import top_k_error
from tests.evaluation.made_predictions import SETTING, predictions, random_predictions


def test_probabilities_are_averaged_not_scores():
    members = [random_predictions(seed) for seed in range(3)]
    mean = np.mean([m.probabilities.astype(float) for m in members], axis=0)
    together = ensemble(members)
    np.testing.assert_allclose(together.probabilities, mean, rtol=1e-5)  # float32
    assert together.setting.model == "ensemble of 3"
    assert top_k_error(together, 1).wrong == (mean.argmax(-1) != members[0].labels).sum()


def test_an_ensemble_of_one_and_of_twins_is_the_member():
    member = random_predictions(0)
    for members in ([member], [member, member]):
        np.testing.assert_allclose(
            ensemble(members).log_probabilities, member.log_probabilities, rtol=1e-6
        )


def test_probabilities_that_float32_has_not_are_averaged_too():
    first = predictions([[-300.0, 0.0]], [0])
    second = predictions([[-400.0, 0.0]], [0])
    found = ensemble([first, second]).log_probabilities[0, 0]
    assert found == pytest.approx(-300 - np.log(2))


def test_one_member_that_is_not_finite_spoils_its_example_alone():
    first, second = random_predictions(0), random_predictions(1)
    first.log_probabilities[3, 2] = np.nan
    finite = np.isfinite(ensemble([first, second]).log_probabilities).all(-1)
    assert (~finite).nonzero()[0].tolist() == [3]


def test_members_of_other_data_are_refused():
    made = random_predictions(0)
    with pytest.raises(UserError, match="needs a member"):
        ensemble([])
    renamed = made._replace(classes=tuple("tuvwxyz"))
    with pytest.raises(UserError, match=r"different classes: 7 \(a, b, c, ...\) and 7 \(t"):
        ensemble([made, renamed])
    for field, value, said in (
        ("split", "train", "different splits: test and train"),
        ("fingerprint", "0", "different contents of synthetic"),
    ):
        other = made._replace(setting=dataclasses.replace(SETTING, **{field: value}))
        with pytest.raises(UserError, match=said):
            ensemble([made, other])
    ten = made._replace(setting=dataclasses.replace(SETTING, protocol="ten-crop"))
    assert ensemble([made, ten, made]).setting.protocol == "one-crop+ten-crop"
