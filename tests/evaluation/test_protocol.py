"""The table of protocols: the papers' numbers, and near names."""

import dataclasses

import pytest

from cnn_jax.errors import UserError
from cnn_jax.evaluation.protocol import PROTOCOLS, protocol


def test_the_printed_numbers():
    printed = {name: dataclasses.asdict(rules) for name, rules in PROTOCOLS.items()}
    assert printed == {
        "one-crop": {"side": None, "interpolation": "bilinear"},
        "ten-crop": {"side": 256},
        "fifty-crop": {"sides": (256, 384, 512), "grid": 5},
        "crops-144": {"sides": (256, 288, 320, 352)},
        "multi-scale": {"sides": (224, 256, 384, 480, 640), "flips": False},
        "dense": {"sides": (256,)},
    }


def test_a_wrong_name_is_answered_with_a_near_one():
    assert protocol("dense") is PROTOCOLS["dense"]
    with pytest.raises(UserError, match="'ten-crops'; did you mean ten-crop"):
        protocol("ten-crops")
