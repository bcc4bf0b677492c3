"""One codec writes an experiment and reads it back; nothing else can be read."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.codec import decode, encode
from cnn_jax.experiment.declaration import identity, with_epochs
from cnn_jax.layers.activations import Maxout, PReLU
from cnn_jax.layers.initializers import gaussian
from tests.tiny import EXPERIMENT, variant


def through_json(value):
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.1, "x", (1, (2.5, "y")), EXPERIMENT, Maxout(3), PReLU, gaussian],
)
def test_what_is_written_is_read_back(value):
    assert through_json(value) == value


def test_a_partial_keeps_its_function_and_arguments():
    read = through_json(partial(gaussian, deviation=0.01))
    assert (read.func, read.args, read.keywords) == (gaussian, (), {"deviation": 0.01})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda x: x, "value is .*<lambda>"),
        ((1, np.zeros(3)), r"value\[1\] is a ndarray"),
        (float("nan"), "value is nan"),
        (variant(loss=lambda a, b: a), r"value\.loss is"),
        ({1: 2}, "value is a dict"),
    ],
)
def test_what_has_no_stable_name_is_refused_when_written(value, reason):
    with pytest.raises(UserError, match=reason):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [
        {"name": "os:system"},
        {"name": "cnn_jax.training.run_directory:os.system"},
        {"name": "cnn_jax.training.run_directory:tempfile.mkdtemp"},
        {"class": "subprocess:Popen", "fields": {"args": ["true"]}},
        {"class": "cnn_jax.training.run_directory:StepCounter", "fields": {"path": "x"}},
        {"partial": {"name": "builtins:eval"}, "arguments": ["1"], "keywords": {}},
        {"name": "cnn_jax.no_such_module:thing"},
        {"class": "cnn_jax.layers.rows:Conv", "fields": {"no_such_field": 1}},
    ],
)
def test_a_manifest_can_only_name_what_is_ours(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        decode(data)
    assert list(tmp_path.iterdir()) == []


def test_identity_is_what_changes_numbers_and_nothing_else():
    same = variant(question="Put in other words?", source="elsewhere")
    assert identity(same, "data") == identity(EXPERIMENT, "data")
    changed = [
        identity(EXPERIMENT, "other data"),
        *(
            identity(variant(**fields), "data")
            for fields in (
                {"seed": 4},
                {"batch_size": 51},
                {"augmentation": EXPERIMENT.augmentation[:1]},
                {"model": EXPERIMENT.model.clone(activation=PReLU)},
                {"model": EXPERIMENT.model.clone(table=EXPERIMENT.model.table[1:])},
            )
        ),
        identity(with_epochs(EXPERIMENT, 4), "data"),
    ]
    assert len({identity(EXPERIMENT, "data"), *changed}) == len(changed) + 1


def test_another_length_stretches_the_schedules_marks():
    longer = with_epochs(EXPERIMENT, 6)
    assert longer.schedule.at_epochs == (4.0,)
    assert dataclasses.replace(longer, epochs=3, schedule=EXPERIMENT.schedule) == EXPERIMENT
