"""All exercises and worked examples of the four lectures, answered by public functions.

``exercises.json`` has their inputs and right answers; where a slide prints another number,
the right one. The answers are computed in ``exercise_shapes.py``,
``exercise_learning.py`` and ``exercise_results.py``.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.exercise_learning import LEARNING
from tests.exercise_results import PRINTED, RESULTS
from tests.exercise_shapes import SHAPES

EXERCISES = {
    exercise["id"]: exercise
    for exercise in json.loads(Path(__file__).with_name("exercises.json").read_text())
}
ANSWERS = SHAPES | LEARNING | RESULTS


def _assert_right(found, right, where):
    """Compare every number and word of the right answer, but for what is ``PRINTED``."""
    if found is PRINTED:
        return
    if isinstance(right, dict):
        assert found.keys() == right.keys(), where
        for key in right:
            _assert_right(found[key], right[key], f"{where}: {key}")
    elif isinstance(right, list):
        assert len(found) == len(right), where
        for i, (a, b) in enumerate(zip(found, right, strict=True)):
            _assert_right(a, b, f"{where}[{i}]")
    elif isinstance(right, str | bool) or right is None or isinstance(found, int):
        assert found == right, where
    else:  # float32; printed to ten digits
        assert np.isclose(found, right, rtol=2e-6, atol=0.0), (
            f"{where}: {found} is not {right}"
        )


def test_there_are_48_exercises_and_each_has_an_answer():
    sys.stdout.write(f"\n{len(EXERCISES)} exercises of the lectures")
    assert len(EXERCISES) == 48
    assert EXERCISES.keys() == ANSWERS.keys()


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(name):
    exercise = EXERCISES[name]
    _assert_right(ANSWERS[name](exercise["inputs"]), exercise["answer"], name)
